/**
 * Breaks lines that are longer than `columns` between words. The rest of a line stands under its text: behind the label
 * that it begins with (`  loss         2.1 in …`), or behind the bar of a quotation. A word longer than a line stays whole.
 */
export function wrap(text: string, columns: number): string {
  return text
    .split('\n')
    .map((line) => wrapLine(line, columns))
    .join('\n');
}

/** Spaces, then the bar of a quotation, or a label of up to three words and the two spaces or more behind it. */
const leading = /^ *(?:│ |\S+(?: \S+){0,2} {2,}(?=\S))?/;

function wrapLine(line: string, columns: number): string {
  const [lead] = leading.exec(line) as unknown as [string];
  const indent = lead.includes('│') ? lead : ' '.repeat(Math.min(lead.length || 2, columns >> 1));
  const lines: string[] = [];
  let rest = line;
  // The lead of a line is no place to break it.
  let from = lead.length;
  while (rest.length > columns) {
    const last = rest.lastIndexOf(' ', columns);
    const at = last > from ? last : rest.indexOf(' ', Math.max(columns, from));
    if (at < 0) break;
    lines.push(rest.slice(0, at).trimEnd());
    rest = indent + rest.slice(at).trimStart();
    from = indent.length;
  }
  return [...lines, rest.trimEnd()].join('\n');
}

/** Columns of a terminal, or what the environment says of it; null where the output is a file or a pipe. */
export function columnsOf(
  stream: NodeJS.WriteStream,
  env: Readonly<Record<string, string | undefined>>,
): number | null {
  return stream.columns || Number(env.COLUMNS) || null;
}
