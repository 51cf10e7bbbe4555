import type { Progress } from '../bench.ts';
import type { Row } from '../rows.ts';
import { type Case, cases, type RowName } from '../suites/index.ts';

/** Everything that the page shows. */
export interface State {
  /** The cases that are to be measured, by `idOf`. */
  chosen: ReadonlySet<string>;
  contenders: ReadonlySet<string>;
  /** All variants of weft's kernels, too. */
  variants: boolean;
  /** Few rounds, for a first look. */
  quick: boolean;
  running: boolean;
  progress: Progress | null;
  rows: readonly Row[];
  messages: readonly string[];
  /** Where the rows come from, if they were not measured here. */
  shared: string;
  /** Where there is little room, the picker shows its button only. */
  folded: boolean;
  /** Said beside the buttons, until something else is done. */
  notice: string;
}

export const contenders = ['weft', 'jax-js', 'tfjs', 'onnxruntime-web'] as const;

export const idOf = ({ name, shape }: Pick<Case, 'name' | 'shape'>): string => `${name} ${shape}`;

/** A first run takes a minute or two: one size of each kernel, no training steps. */
export const initial = (): State => ({
  chosen: new Set(cases.filter(({ suite, quick }) => suite === 'kernels' && quick).map(idOf)),
  contenders: new Set(contenders),
  variants: false,
  quick: true,
  running: false,
  progress: null,
  rows: [],
  messages: [],
  shared: '',
  folded: false,
  notice: '',
});

/** The cases by their name, in the order of the tables. */
export function families(suite: Case['suite']): Map<RowName, Case[]> {
  const found = new Map<RowName, Case[]>();
  for (const each of cases) {
    if (each.suite === suite) found.set(each.name, [...(found.get(each.name) ?? []), each]);
  }
  return found;
}

/** The patterns that the core understands: each matches one case, with the contenders that were picked. */
export function patterns({ chosen, contenders, variants }: State): string[] {
  const names = [...contenders].map(escaped);
  const own = variants ? 'weft:\\w+' : 'weft:counted';
  const who = contenders.has('weft') ? [...names, own] : names;
  return [...chosen].map((id) => `^${escaped(id)} (${who.join('|')})$`);
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
