import * as Plot from '@observablehq/plot';

/** A picture that shows what the claim says: charts side by side under a title. */
export interface Picture {
  readonly title: string;
  /** What is to be seen, for those who can't see it: a sentence or two. */
  readonly description: string;
  /** Colours and what they stand for. */
  readonly legend?: Readonly<Record<string, string>>;
  /** Charts as Observable Plot takes them: https://observablehq.com/plot */
  readonly charts: readonly Plot.PlotOptions[];
  /** Charts in a row; all by default. */
  readonly columns?: number;
}

/** Colours that are told apart by those who don't see all of them, too (Okabe and Ito 2008). */
export const colours = {
  blue: '#0072b2',
  orange: '#d55e00',
  green: '#009e73',
  purple: '#cc79a7',
  yellow: '#e69f00',
  sky: '#56b4e9',
  grey: '#888888',
  black: '#222222',
} as const;

/** A logarithmic axis with plain numbers at its ticks. */
export const logarithmic = (label: string, domain?: readonly [least: number, most: number]): Plot.ScaleOptions => ({
  ...{ type: 'log', label, grid: true, ticks: 6 },
  ...(domain && { domain }),
  tickFormat: (value: number) => (value >= 1e-3 && value < 1e5 ? `${+value.toPrecision(3)}` : value.toExponential(0)),
});

const [width, height, gap, edge] = [440, 300, 24, 16];

/** The picture as an SVG document with a text alternative. */
export async function drawn(picture: Picture): Promise<string> {
  const { title, description, legend = {}, charts, columns = charts.length } = picture;
  const document = await emptyDocument();
  const sizes = charts.map((chart) => ({ width: chart.width ?? width, height: chart.height ?? height }));
  const rows = Array.from({ length: Math.ceil(charts.length / columns) }, (_, row) =>
    sizes.slice(row * columns, (row + 1) * columns),
  );
  const entries = Object.entries(legend);
  let top = entries.length > 0 ? 72 : 48;
  const parts: string[] = [];
  for (const [row, places] of rows.entries()) {
    let left = edge;
    for (const [column, size] of places.entries()) {
      const options = charts[row * columns + column] as Plot.PlotOptions;
      const svg = serialised(Plot.plot({ ...options, ...size, document }) as SVGElement);
      parts.push(`<g transform="translate(${left}, ${top})">${svg}</g>`);
      left += size.width + gap;
    }
    top += Math.max(...places.map((place) => place.height)) + gap;
  }
  const widths = rows.map((places) => places.reduce((sum, place) => sum + place.width + gap, 2 * edge - gap));
  const all = [Math.max(...widths, 2 * edge + 8 * title.length), top - gap + edge] as const;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${all[0]} ${all[1]}" role="img" aria-labelledby="title description" font-family="system-ui, sans-serif" fill="#222">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
<rect width="${all[0]}" height="${all[1]}" fill="#fff"/>
<text x="${edge}" y="30" font-size="17">${escaped(title)}</text>
${legendLine(entries)}${parts.join('\n')}
</svg>
`;
}

/** Spots of the colours, each with its name. */
function legendLine(entries: readonly (readonly [name: string, colour: string])[]): string {
  let left = edge;
  const parts = entries.map(([name, colour]) => {
    const part = `<circle cx="${left + 5}" cy="51" r="5" fill="${colour}"/><text x="${left + 15}" y="55">${escaped(name)}</text>`;
    left += 36 + 7 * name.length;
    return part;
  });
  return parts.length > 0 ? `<g font-size="13">${parts.join('')}</g>\n` : '';
}

/** Where charts are made: a page's document, or one of a library's where there is no page. */
async function emptyDocument(): Promise<Document> {
  if (typeof document !== 'undefined') return document;
  const { parseHTML } = await import('linkedom');
  return parseHTML('<html><body></body></html>').document;
}

function serialised(svg: SVGElement): string {
  const text = typeof XMLSerializer === 'undefined' ? svg.outerHTML : new XMLSerializer().serializeToString(svg);
  // Hundredths of a pixel are enough.
  const short = (attribute: string) =>
    attribute.replace(/-?\d+\.\d{3,}/g, (value) => String(Number(Number(value).toFixed(2))));
  return text.replace('xmlns="http://www.w3.org/2000/svg"', '').replace(/="[^"]*"/g, short);
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
