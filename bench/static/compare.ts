/** What is kept of a kernel: its figures for one GPU and one version of its driver. */
export interface Row {
  readonly work: string;
  readonly kernel: string;
  /** Layout of a product's operands, N or T for each; empty for other kernels. */
  readonly layout: string;
  readonly registers: number;
  readonly spills: number;
  /** Waves that share a SIMD. */
  readonly waves: number;
  /** What the bound is of: multiply-adds (`fma`), or the bandwidth of memory. */
  readonly of: string;
  /** Upper bound of the share of the GPU's peak, in %. */
  readonly bound: number;
}

const names = ['work', 'kernel', 'layout', 'registers', 'spills', 'waves', 'of', 'bound'] as const;
const numbers = new Set<string>(['registers', 'spills', 'waves', 'bound']);

/** Rows as text: columns of equal width, or fields with `separator` between them. */
export function asTable(rows: readonly Row[], separator?: string): string {
  const cells = [names as readonly string[], ...rows.map((row) => names.map((name) => String(row[name])))];
  if (separator !== undefined) return `${cells.map((line) => line.join(separator)).join('\n')}\n`;
  const widths = names.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    numbers.has(names[column] as string)
      ? cell.padStart(widths[column] as number)
      : cell.padEnd(widths[column] as number);
  return cells.map((line) => line.map(pad).join('  ').trimEnd()).join('\n');
}

/** Rows that `asTable` has written with tabs. */
export function fromTable(text: string): Row[] {
  const lines = text.trim().split('\n').slice(1);
  return lines.map((line) => {
    const fields = line.split('\t');
    const field = (name: string, i: number) => [name, numbers.has(name) ? Number(fields[i]) : (fields[i] ?? '')];
    return Object.fromEntries(names.map(field)) as unknown as Row;
  });
}

/** Bounds that differ by less are taken for equal: a compiler's schedule changes by as much. */
const slack = 2;

const keyOf = ({ work, kernel, layout }: Row) => [work, kernel, layout].filter(Boolean).join(' · ');

/** A line for each kernel that has more spills or a lower bound than before; with `whole` also for one that is gone. */
export function worse(before: readonly Row[], now: readonly Row[], whole: boolean): string[] {
  const rows = new Map(now.map((row) => [keyOf(row), row]));
  return before.flatMap((old) => {
    const row = rows.get(keyOf(old));
    if (!row) return whole ? [`${keyOf(old)}: no longer compiled`] : [];
    const notes = [
      row.spills > old.spills && `spills ${old.spills} → ${row.spills}`,
      row.bound < old.bound - slack && `bound ${old.bound} → ${row.bound} %`,
    ].filter((note) => note !== false);
    return notes.length > 0 ? [`${keyOf(old)}: ${notes.join(', ')}`] : [];
  });
}
