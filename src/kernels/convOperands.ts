import type { Dispatch } from './kernel.ts';
import type { ComputedOperands } from './matmulProblem.ts';
import { coordinateOf, extentText } from './numbers.ts';

/**
 * The operands of a convolution's products, for the kernels of matmul: which element of a picture stands in row k and column
 * n is computed where it is read. What depends on one of them alone is computed once, and a picture's edge is one
 * comparison, since a negative number is a very large one without its sign.
 *
 * Extents are constants, or uniforms in the general form of the text (see numbers.ts).
 */

/** Rows and columns, in this order. */
export type Pair = readonly [rows: number, columns: number];

/**
 * How windows lie on a picture: the tap [p, q] of the window of place [i, j] meets the pixel
 * [i, j]·stride + [p, q]·dilation − before, or, where that is outside, a zero.
 */
export interface Windows {
  /** Of a picture of x, and of y: one place for each window. */
  readonly image: Pair;
  readonly result: Pair;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly dilation: Pair;
  /** Zeros above and on the left. */
  readonly before: Pair;
}

type Texts = ComputedOperands['tiles'];

const u = (value: number) => extentText(value);
const i = (value: number) => extentText(value, 'i32');
/** A product with a number that is often 1. */
const times = (text: string, factor: number) => (factor === 1 ? text : `${text} * ${i(factor)}`);
const plus = (text: string, value: number) => (value === 0 ? text : `${text} + ${i(value)}`);
const minus = (text: string, value: number) => (value === 0 ? text : `${text} - ${i(value)}`);

/** `index`, below the product of the extents, as a coordinate for each of them. */
function coordinates(index: string, extents: readonly number[]): string[] {
  const bound = extents.reduce((product, extent) => product * extent, 1);
  let inner = bound;
  return extents.map((extent, axis) => {
    inner /= extent;
    if (extent === 1) return '0u';
    return axis === 0 ? coordinateOf(index, bound, inner) : coordinateOf(index, bound, inner, extent);
  });
}

/** Signed, where that is not 0 anyhow. */
const signed = (text: string) => (text === '0u' ? '0' : `i32(${text})`);

/**
 * Four places from n on of `across` rows and columns: a row each, or one where all four lie in it, and a column each. The texts
 * are what `row` and `column` make of a coordinate.
 */
function four(extents: Pair, row: (text: string) => string, column: (text: string) => string): string {
  const [rows, columns] = coordinates('n', extents) as [string, string];
  if (extents[1] % 4 === 0) {
    return /* wgsl */ `struct Four { first: u32, row: i32, column: vec4<i32> }
fn fourAt(first: u32, n: u32) -> Four {
  let columns = vec4<i32>(${signed(columns)}) + vec4<i32>(0, 1, 2, 3);
  return Four(first, ${row(signed(rows))}, ${column('columns')});
}`;
  }
  return /* wgsl */ `struct Four { first: u32, row: vec4<i32>, column: vec4<i32> }
fn placeOf(n: u32) -> vec2<i32> { return vec2<i32>(${signed(rows)}, ${signed(columns)}); }
fn fourAt(first: u32, n: u32) -> Four {
  let p0 = placeOf(n);
  let p1 = placeOf(n + 1u);
  let p2 = placeOf(n + 2u);
  let p3 = placeOf(n + 3u);
  let rows = vec4<i32>(p0.x, p1.x, p2.x, p3.x);
  let columns = vec4<i32>(p0.y, p1.y, p2.y, p3.y);
  return Four(first, ${row('rows')}, ${column('columns')});
}`;
}

/** Four pixels at indices, or zeros. */
const pick = /* wgsl */ `fn pick(at: vec4<u32>, inside: vec4<bool>) -> vec4<f32> {
  return select(vec4<f32>(), vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]), inside);
}`;

/** How kernels bring four columns n, n+1, … of a row k, by `fourAt` and `tapOf`. */
const byColumns = (declarations: string): ComputedOperands => ({
  tiles: {
    constants: { OwnB: 'Four' },
    declarations,
    functions: {
      ownB: 'fn ownB(lane: u32, first: u32, n: u32) -> OwnB { return fourAt(first, n + 4u * (lane % QUADS_N)); }',
      bringB: `fn bringB(lane: u32, own: OwnB, i: u32, k: u32) -> vec4<f32> {
  return tapOf(own, k + lane / QUADS_N + i * (SIZE / QUADS_N));
}`,
    },
  },
  blocks: {
    declarations,
    functions: {
      blockB: `fn blockB(start: u32, k: u32, n: u32) -> mat4x4<f32> {
  let own = fourAt(start, n);
  return mat4x4<f32>(tapOf(own, k), tapOf(own, k + 1u), tapOf(own, k + 2u), tapOf(own, k + 3u));
}`,
    },
  },
});

/** [channels·KH·KW, places]: each column a window. */
export function windows({ image, result, kernel, stride, dilation, before }: Windows, channels: number) {
  const [channel, p, q] = coordinates('k', [channels, ...kernel]) as [string, string, string];
  const place = four(
    result,
    (text) => minus(times(text, stride[0]), before[0]),
    (text) => minus(times(text, stride[1]), before[1]),
  );
  return byColumns(/* wgsl */ `${place}
${pick}
fn tapOf(own: Four, k: u32) -> vec4<f32> {
  let row = own.row + ${times(signed(p), dilation[0])};
  let column = own.column + ${times(signed(q), dilation[1])};
  let rowInside = vec4<bool>(vec4<u32>(vec4<i32>(row)) < vec4<u32>(${u(image[0])}));
  let inside = rowInside & (vec4<u32>(column) < vec4<u32>(${u(image[1])}));
  let first = own.first + ${channel} * ${u(image[0] * image[1])};
  return pick(vec4<u32>(first) + vec4<u32>(vec4<i32>(row) * ${i(image[1])} + column), inside);
}`);
}

/** [filters·KH·KW, pixels]: what y has at the place whose window's tap meets a pixel, or 0 where there is none. */
export function spread({ image, result, kernel, stride, dilation, before }: Windows, filters: number) {
  const [filter, p, q] = coordinates('k', [filters, ...kernel]) as [string, string, string];
  const pixel = four(
    image,
    (text) => plus(text, before[0]),
    (text) => plus(text, before[1]),
  );
  // Of places between those that a stride goes to there are none.
  const met = (name: string, by: number) => (by === 1 ? '' : ` & (${name} * vec4<u32>(${u(by)}) == ${name}Distance)`);
  const quotient = (name: string, by: number) =>
    by === 1 ? `let ${name} = ${name}Distance;` : `let ${name} = ${name}Distance / vec4<u32>(${u(by)});`;
  return byColumns(/* wgsl */ `${pixel}
${pick}
fn tapOf(own: Four, k: u32) -> vec4<f32> {
  let rowDistance = vec4<u32>(vec4<i32>(own.row - ${times(signed(p), dilation[0])}));
  let columnDistance = vec4<u32>(own.column - ${times(signed(q), dilation[1])});
  ${quotient('row', stride[0])}
  ${quotient('column', stride[1])}
  let inside = (row < vec4<u32>(${u(result[0])})) & (column < vec4<u32>(${u(result[1])}))${met('row', stride[0])}${met('column', stride[1])};
  let first = own.first + ${filter} * ${u(result[0] * result[1])};
  return pick(vec4<u32>(first) + row * ${u(result[1])} + column, inside);
}`);
}

/** [pictures·places, channels·KH·KW]: each row a window, and pictures one below the other, `distance` elements apart. */
export function windowsAcross(
  { image, result, kernel, stride, dilation, before }: Windows,
  channels: number,
  pictures: { readonly count: number; readonly distance: number },
): ComputedOperands {
  const [channel, p, q] = coordinates('n', [channels, ...kernel]) as [string, string, string];
  const [picture, row, column] = coordinates('k', [pictures.count, ...result]) as [string, string, string];
  const tap = /* wgsl */ `struct Tap { first: u32, row: i32, column: i32 }
fn tapAt(first: u32, n: u32) -> Tap {
  return Tap(
    first + ${channel} * ${u(image[0] * image[1])},
    ${minus(times(signed(p), dilation[0]), before[0])},
    ${minus(times(signed(q), dilation[1]), before[1])});
}`;
  const start = picture === '0u' ? '0u' : `${picture} * ${u(pictures.distance)}`;
  // Four places are of one row where rows are fours; what depends on them alone serves all columns of a block.
  const places =
    result[1] % 4 === 0
      ? /* wgsl */ `struct Places { start: u32, row: i32, column: vec4<i32> }
fn placesAt(k: u32) -> Places {
  let columns = vec4<i32>(${signed(column)}) + vec4<i32>(0, 1, 2, 3);
  return Places(${start}, ${times(signed(row), stride[0])}, ${times('columns', stride[1])});
}`
      : /* wgsl */ `struct Places { start: vec4<u32>, row: vec4<i32>, column: vec4<i32> }
fn startOf(k: u32) -> u32 { return ${start}; }
fn placeOf(k: u32) -> vec2<i32> { return vec2<i32>(${times(signed(row), stride[0])}, ${times(signed(column), stride[1])}); }
fn placesAt(k: u32) -> Places {
  let p0 = placeOf(k);
  let p1 = placeOf(k + 1u);
  let p2 = placeOf(k + 2u);
  let p3 = placeOf(k + 3u);
  return Places(
    vec4<u32>(startOf(k), startOf(k + 1u), startOf(k + 2u), startOf(k + 3u)),
    vec4<i32>(p0.x, p1.x, p2.x, p3.x), vec4<i32>(p0.y, p1.y, p2.y, p3.y));
}`;
  const along = /* wgsl */ `fn placesOf(own: Tap, at: Places) -> vec4<f32> {
  let row = at.row + own.row;
  let column = at.column + own.column;
  let rowInside = vec4<bool>(vec4<u32>(vec4<i32>(row)) < vec4<u32>(${u(image[0])}));
  let inside = rowInside & (vec4<u32>(column) < vec4<u32>(${u(image[1])}));
  return pick(vec4<u32>(own.first + at.start) + vec4<u32>(vec4<i32>(row) * ${i(image[1])} + column), inside);
}`;
  const declarations = [tap, places, pick, along].join('\n');
  return {
    tiles: {
      constants: { OwnB: 'OwnLine' },
      declarations: `struct OwnLine { first: u32, n: u32 }\n${declarations}`,
      functions: {
        ownB: 'fn ownB(lane: u32, first: u32, n: u32) -> OwnB { return OwnLine(first, n + lane / QUADS_K); }',
        bringB: `fn bringB(lane: u32, own: OwnB, i: u32, k: u32) -> vec4<f32> {
  return placesOf(tapAt(own.first, own.n + i * (SIZE / QUADS_K)), placesAt(k + 4u * (lane % QUADS_K)));
}`,
      },
    },
    blocks: {
      declarations,
      functions: {
        blockB: `fn blockB(start: u32, k: u32, n: u32) -> mat4x4<f32> {
  let places = placesAt(k);
  return transpose(mat4x4<f32>(
    placesOf(tapAt(start, n), places), placesOf(tapAt(start, n + 1u), places),
    placesOf(tapAt(start, n + 2u), places), placesOf(tapAt(start, n + 3u), places)));
}`,
      },
    },
  };
}

/** Rows of A, `params.aLead` apart, of `length` elements in runs that lie `jump` elements further apart than they would end to end. */
export function alongRuns({
  run,
  jump,
  length,
}: {
  readonly run: number;
  readonly jump: number;
  readonly length: number;
}): ComputedOperands | null {
  if (run === length || jump === 0) return null;
  const at = `k + ${coordinateOf('k', length, run)} * ${u(jump)}`;
  const declarations =
    run % 4 === 0
      ? /* wgsl */ `fn runsAt(k: u32) -> u32 { return ${at}; }
fn inRuns(line: u32, at: u32) -> vec4<f32> { return readA(line + at); }`
      : /* wgsl */ `fn runAt(k: u32) -> u32 { return ${at}; }
fn runsAt(k: u32) -> vec4<u32> { return vec4<u32>(runAt(k), runAt(k + 1u), runAt(k + 2u), runAt(k + 3u)); }
fn inRuns(line: u32, at: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(a[line + at.x], a[line + at.y], a[line + at.z], a[line + at.w]);
}`;
  return {
    tiles: {
      declarations,
      functions: {
        ownA: 'fn ownA(lane: u32, first: u32, m: u32) -> OwnA { return first + (m + lane / QUADS_K) * params.aLead; }',
        bringA: `fn bringA(lane: u32, own: OwnA, i: u32, k: u32) -> vec4<f32> {
  return inRuns(own + i * (SIZE / QUADS_K) * params.aLead, runsAt(k + 4u * (lane % QUADS_K)));
}`,
      },
    },
    blocks: {
      declarations,
      functions: {
        blockA: `fn blockA(start: u32, m: u32, k: u32) -> mat4x4<f32> {
  let line = start + m * params.aLead;
  let lead = params.aLead;
  let at = runsAt(k);
  return mat4x4<f32>(inRuns(line, at), inRuns(line + lead, at), inRuns(line + 2u * lead, at), inRuns(line + 3u * lead, at));
}`,
      },
    },
  } satisfies { tiles: Texts; blocks: Texts };
}

/** What a dispatch takes of such texts. */
export type OperandTexts = Pick<Dispatch, 'constants' | 'functions' | 'declarations'>;
