import { DataLoader, models, optim, type Tensor, tensor } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, type Lab, Plot, samples, shifted } from '../frame/index.ts';

/** Pixels of a place in a row: two blocks of the encoder halve a picture twice. */
const scale = 4;
const paints = { red: [1, 0.2, 0.2], green: [0.2, 0.8, 0.3], blue: [0.3, 0.4, 1], yellow: [1, 0.9, 0.2] } as const;
/** Whether a point lies in a shape of radius 1 around the origin; rows go down. */
const shapes = {
  circle: (x: number, y: number) => x * x + y * y <= 1,
  square: (x: number, y: number) => Math.max(Math.abs(x), Math.abs(y)) <= 0.85,
  triangle: (x: number, y: number) => y <= 0.9 && 2 * Math.abs(x) <= y + 1.1,
  cross: (x: number, y: number) => Math.min(Math.abs(x), Math.abs(y)) <= 0.3 && Math.max(Math.abs(x), Math.abs(y)) <= 1,
} as const;
type Paint = keyof typeof paints;
type Shape = keyof typeof shapes;
/** Words by id; the first ends a caption, which is begun with it, too. */
const words = ['⏎', ...Object.keys(paints), ...Object.keys(shapes), 'left', 'of', 'above'];
const relations = ['left', 'above'];
const [end, longest] = [0, 7];
const [embedding, hidden, batch] = [32, 64, 32];

/** What a thing is. */
interface Kind {
  readonly paint: Paint;
  readonly shape: Shape;
}
/** A thing in a picture: its middle and its radius are in pixels. */
interface Thing extends Kind {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}
/** What pictures are made of: their rows and columns, and the kinds of things. */
interface Scene {
  readonly size: number;
  readonly kinds: readonly Kind[];
}
/** Two things on black, one in either half, and what is said of them: the left or the upper one first. */
interface Picture {
  readonly things: readonly [Thing, Thing];
  /** Whether the halves lie side by side. */
  readonly isAcross: boolean;
  readonly size: number;
  /** [3, size, size] */
  readonly pixels: Float32Array;
  readonly caption: readonly number[];
}

const forms = {
  'a fixed vector': { attention: 'none', colour: colours.orange },
  attention: { attention: 'additive', colour: colours.blue },
} as const;
type Name = keyof typeof forms;
const names = Object.keys(forms) as Name[];

export default example({
  claim:
    'A decoder that looks at a picture anew for each word names what it has never seen side by side, and looks at what it names',
  paper: 'Xu et al. 2015; Vinyals et al. 2015',
  full: {
    settings: {
      steps: 1200,
      lr: 5e-3,
      tests: 500,
      size: 24,
      drawn: ['circle', 'square', 'triangle', 'cross'] as readonly Shape[],
    },
    bars: {
      'exact, attention': atLeast(0.9),
      'attends to the right half': atLeast(0.9),
      'exact, a fixed vector': atMost(0.3),
    },
  },
  reduced: {
    settings: { steps: 150, lr: 1e-2, tests: 100, size: 16, drawn: ['cross', 'circle'] as readonly Shape[] },
    bars: {
      'exact, attention': atLeast(0.6),
      'attends to the right half': atLeast(0.8),
      'exact, a fixed vector': atMost(0.3),
    },
  },
  async run(lab, { steps, lr, tests: count, size, drawn }) {
    const kinds = (Object.keys(paints) as Paint[]).flatMap((paint) => drawn.map((shape) => ({ paint, shape })));
    const scene = { size, kinds };
    const tests = [...samples((each) => picture(each, scene, true), lab.draw(), count)];
    const found = new Map<Name, readonly models.Hypothesis[]>();
    for (const name of names) found.set(name, await learn(lab, name, { steps, lr }, scene, tests));
    const of = (name: Name, i: number) => found.get(name)?.[i] as models.Hypothesis;
    const isExact = (name: Name, i: number) => of(name, i).ids.join() === tests[i]?.caption.join();
    const exact = (name: Name) => tests.filter((_, i) => isExact(name, i)).length / count;
    const looks = tests.flatMap((test, i) => looksAt(test, of('attention', i)));
    const right = looks.filter((mass) => mass > 0.5).length / looks.length;
    const mean = looks.reduce((a, b) => a + b, 0) / looks.length;

    const rows = names.map((name) => ({ name, exact: exact(name), colour: forms[name].colour }));
    const shown = [true, false].map((isAcross) => tests.findIndex((test) => test.isAcross === isAcross));
    return {
      metrics: {
        'exact, attention': exact('attention'),
        'attends to the right half': right,
        'attention in the right half': mean,
      },
      baseline: { 'exact, a fixed vector': exact('a fixed vector') },
      picture: {
        title: 'What is where, and where the decoder looks as it says so',
        description:
          `The share of pictures of pairs never seen in training that are told without a fault: ${rows.map(({ name, exact }) => `${exact.toFixed(2)} with ${name}`).join(', ')}. ` +
          `Below, two of the pictures, ${shown.map((i) => `"${said((tests[i] as Picture).caption)}"`).join(' and ')}, told as ${shown.map((i) => `"${said(of('attention', i).ids)}"`).join(' and ')}: ` +
          `once for each word, with light on the places that it attends to. ${(100 * mean).toFixed(0)} % of the light on the word of a thing lies in the half that holds the thing.`,
        charts: [
          {
            ...{ width: 440, height: 100, marginLeft: 110, marginRight: 40 },
            x: { label: 'told without a fault', domain: [0, 1], grid: true },
            y: { label: null },
            marks: [
              Plot.barX(rows, { x: 'exact', y: 'name', fill: 'colour' }),
              Plot.text(rows, { x: 'exact', y: 'name', text: ({ exact }) => exact.toFixed(2), dx: 18 }),
            ],
          },
          ...shown.map((i) => panels(tests[i] as Picture, of('attention', i))),
        ],
        columns: 1,
      },
    };
  },
});

/** Trains a captioner, and gives its captions of the tests. */
async function learn(
  lab: Lab,
  name: Name,
  { steps, lr }: { readonly steps: number; readonly lr: number },
  scene: Scene,
  tests: readonly Picture[],
): Promise<models.Hypothesis[]> {
  const { attention } = forms[name];
  const sizes = { channels: 3, vocabulary: words.length, embedding, hidden, features: [16, 32] };
  const model = new models.Captioner({ ...sizes, attention });
  const optimizer = new optim.Adam(model.parameters(), { lr });
  const loss = (images: Tensor, inputs: Tensor, targets: Tensor, targetLengths: Tensor) =>
    model.loss(images, inputs, targets, { targetLengths });
  const draw = lab.draw();
  const batches = new DataLoader(() => samples((each) => picture(each, scene, false), draw), {
    batchSize: batch,
    collate,
  });
  await lab.train(name, { step: { loss, optimizer, clip: 1 }, batches, steps, schedule: optim.cosine({ steps }) });

  const [images] = collate(tests);
  const found = await model.caption(images, { beams: 1, maxLength: longest, eos: end });
  return found.map(([best]) => best as models.Hypothesis);
}

/** Images [B, 3, size, size], the ids before each step [B, T], those after it, and their lengths [B]. */
function collate(pictures: readonly Picture[]): [images: Tensor, inputs: Tensor, targets: Tensor, lengths: Tensor] {
  const { size } = pictures[0] as Picture;
  const pixels = new Float32Array(pictures.length * 3 * size * size);
  for (const [i, each] of pictures.entries()) pixels.set(each.pixels, i * 3 * size * size);
  const captions = pictures.map(({ caption }) => caption.slice(0, -1));
  return [tensor(pixels, { shape: [pictures.length, 3, size, size] }), ...shifted(captions, end, longest)];
}

/** Pairs of things that are kept from training: a fifth of all. Each thing is seen in training with most others. */
const isKept = (first: number, second: number) => (first + 3 * second) % 5 === 0;

/** Two things of any kinds that are, or are not, kept from training. */
function picture(draw: Draw, { size, kinds }: Scene, kept: boolean): Picture {
  let pair: [number, number];
  do pair = [draw.below(kinds.length), draw.below(kinds.length)];
  while (isKept(...pair) !== kept);
  const isAcross = draw.chance(0.5);
  // Along the other axis they lie nearly at one height.
  const middle = draw.uniform(size / 3, (2 * size) / 3);
  const thing = (half: 0 | 1): Thing => {
    const radius = draw.uniform(size / 6, size / 4.8);
    const near = draw.uniform(radius + 0.5, size / 2 - radius + 0.5);
    const [along, across] = [half === 0 ? near : size - near, middle + draw.uniform(-2, 2)];
    const [x, y] = isAcross ? [along, across] : [across, along];
    return { ...(kinds[pair[half]] as Kind), x, y, radius };
  };
  const things = [thing(0), thing(1)] as const;
  const pixels = new Float32Array(3 * size * size);
  for (const { paint, shape, x, y, radius } of things)
    for (let row = 0; row < size; row++)
      for (let column = 0; column < size; column++)
        if (shapes[shape]((column + 0.5 - x) / radius, (row + 0.5 - y) / radius))
          for (const [c, value] of paints[paint].entries()) pixels[(c * size + row) * size + column] = value;
  const [first, second] = things.map(({ paint, shape }) => [paint, shape]) as [string[], string[]];
  const text = [...first, ...(isAcross ? ['left', 'of'] : ['above']), ...second, '⏎'];
  return { things, isAcross, size, pixels, caption: text.map((word) => words.indexOf(word)) };
}

const said = (ids: readonly number[]) =>
  ids
    .filter((id) => id !== end)
    .map((id) => words[id])
    .join(' ');

/** For each word of a thing, how much of the attention lies in the half of the picture that holds the thing. */
function looksAt({ things, isAcross, size }: Picture, { ids, alignment = [] }: models.Hypothesis): number[] {
  const places = size / scale;
  let spokenOf = 0;
  return ids.flatMap((id, t) => {
    const word = words[id] as string;
    if (relations.includes(word)) spokenOf = 1;
    if (!(word in paints || word in shapes)) return [];
    const { x, y } = things[spokenOf] as Thing;
    const isLow = (isAcross ? x : y) < size / 2;
    const isThere = (place: number) => (isAcross ? place % places : Math.floor(place / places)) < places / 2 === isLow;
    return [(alignment[t] as Float32Array).reduce((sum, weight, place) => (isThere(place) ? sum + weight : sum), 0)];
  });
}

/** The picture once for each word of a caption, with light on the places that the word attends to. */
function panels({ size, pixels }: Picture, { ids, alignment = [] }: models.Hypothesis): Plot.PlotOptions {
  const steps = ids.map((_, t) => t);
  const painted = steps.flatMap((t) =>
    Array.from({ length: size * size }, (_, i) => {
      const colour = [0, 1, 2].map((c) => Math.round(255 * (pixels[c * size * size + i] as number)));
      const isBlack = colour.every((part) => part === 0);
      return { t, x: i % size, y: Math.floor(i / size), colour: `rgb(${colour})`, isBlack };
    }).filter(({ isBlack }) => !isBlack),
  );
  const places = size / scale;
  const light = steps.flatMap((t) =>
    [...(alignment[t] as Float32Array)].map((weight, p) => ({
      ...{ t, weight, x: scale * (p % places), y: scale * Math.floor(p / places) },
    })),
  );
  type Cell = (typeof light)[number];
  const cell = (extent: number) => ({
    ...{
      fx: 't',
      x1: 'x',
      y1: 'y',
      x2: ({ x }: Pick<Cell, 'x'>) => x + extent,
      y2: ({ y }: Pick<Cell, 'y'>) => y + extent,
    },
  });
  return {
    ...{ width: 124 * steps.length, height: 150, marginLeft: 4, marginRight: 4, marginTop: 26, marginBottom: 4 },
    x: { axis: null, domain: [0, size] },
    y: { axis: null, domain: [size, 0] },
    fx: {
      ...{ axis: 'top', label: null, domain: steps, padding: 0.05, tickSize: 0 },
      tickFormat: (t: number) => words[ids[t] as number] as string,
    },
    opacity: { domain: [0, 1] },
    marks: [
      Plot.frame({ fill: '#000' }),
      Plot.rect(painted, { ...cell(1), fill: 'colour', shapeRendering: 'crispEdges' }),
      Plot.rect(light, {
        ...cell(scale),
        fill: '#fff',
        // The eye tells dark greys apart better than light ones.
        fillOpacity: ({ weight }: Cell) => Math.sqrt(weight),
      }),
    ],
  };
}
