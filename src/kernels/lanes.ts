import lanesLibrary from '../../shaders/lib/lanes.wgsl' with { type: 'text' };
import meetingLibrary from '../../shaders/lib/meeting.wgsl' with { type: 'text' };
import { addLibrary } from './library.ts';
import { loop } from './loopLimit.ts';

addLibrary({ lanes: lanesLibrary, meeting: meetingLibrary });

/** How rows lie on the lanes of a kernel that uses shaders/lib/lanes.wgsl, which says what the words mean. */
export interface Rows {
  readonly constants: Readonly<Record<string, number | boolean | string>>;
  /** Replacements of `maxOf` and `sumOf`. */
  readonly functions: Readonly<Record<string, string>>;
  /** Rows as the kernel counts them: four columns may be one. */
  readonly rows: number;
  /** Elements of a row. */
  readonly n: number;
  /** Elements from one of a row to the next. */
  readonly inner: number;
  /** Pieces of a lane. */
  readonly pieces: number;
  /** Turns in which the lanes of a row bring their results together. */
  readonly meeting: number;
  readonly workgroups: number;
}

/** FAN in shaders/lib/lanes.wgsl: lanes that gather what the lanes of a row have. */
const fan = 8;

/** Elements of a row as a lane takes them: four neighbours at once, where rows are contiguous and allow it. */
export const elementsOf = (n: number, inner = 1): number => (inner === 1 && n % 4 === 0 ? n / 4 : n);

/** The middle axis of [outer, n, inner], with `lanes` lanes for a row in workgroups of `size`. */
export function rowsOf(outer: number, n: number, inner: number, lanes: number, size: number): Rows {
  const contiguous = inner === 1;
  const vector = (contiguous ? n : inner) % 4 === 0;
  const elements = elementsOf(n, inner);
  const across = vector && !contiguous ? inner / 4 : inner;
  const rows = outer * across;
  return {
    constants: {
      Element: vector ? 'vec4<f32>' : 'f32',
      Row: vector && !contiguous ? 'vec4<f32>' : 'f32',
      ...{ SIZE: size, LANES: lanes, COLUMNS: !contiguous },
      ...{ WHOLE: elements % (4 * lanes) === 0, ONE: elements <= 4 * lanes },
    },
    functions: vector && contiguous ? foldVector : {},
    ...{ rows, n: elements, inner: across },
    pieces: Math.ceil(elements / (4 * lanes)),
    meeting: lanes === 1 ? 0 : loop(Math.ceil(lanes / fan)) + loop(fan),
    workgroups: Math.ceil((rows * lanes) / size),
  };
}

/** Folds of an Element of four neighbours. */
const foldVector = {
  sumOf: 'fn sumOf(v: Element) -> Row { return (v.x + v.y) + (v.z + v.w); }',
  maxOf: 'fn maxOf(v: Element) -> Row { return max(max(v.x, v.y), max(v.z, v.w)); }',
};

/** The least power of two that is not below x, between 1 and `most`. */
export const powerOfTwo = (x: number, most: number): number =>
  Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(1, x))));

/** A lane takes no more Elements than this of one row, 256 pieces: rounding errors of a sum grow with their number. */
export const mostPlaces = 1024;

/** Lanes for a row of `elements` where each does best alone, and lanes of a workgroup. */
export function fewLanes(elements: number, size = 32): [lanes: number, size: number] {
  const lanes = powerOfTwo(elements / mostPlaces, 256);
  return [lanes, Math.max(size, lanes)];
}

/** Lanes for a row so that each has one piece, where a workgroup has enough; of columns, eight or more lie side by side. */
export function manyLanes(elements: number, columns = false): [lanes: number, size: number] {
  return [powerOfTwo(elements / 4, columns ? 32 : 256), 256];
}

/** Extents to the nearest power of two: problems between which nothing but speed should decide go by these. */
export const roughly = (...extents: readonly number[]): string =>
  extents.map((extent) => 2 ** Math.round(Math.log2(extent))).join(' ');
