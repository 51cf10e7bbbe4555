import gemvText from '../../shaders/matmul/gemv.wgsl' with { type: 'text' };
import quadsText from '../../shaders/matmul/quads.wgsl' with { type: 'text' };
import registersText from '../../shaders/matmul/registers.wgsl' with { type: 'text' };
import sumText from '../../shaders/matmul/sum.wgsl' with { type: 'text' };
import tiledText from '../../shaders/matmul/tiled.wgsl' with { type: 'text' };
import { UnsupportedError } from '../errors.ts';
import type { DeviceProfile, Dispatch, Family, Operand, StoreHook, Variant } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { tooManyIterations } from './loops.ts';
import { roughly } from './rows.ts';
import { noSideSum } from './sideSum.ts';

/** Σₖ of one operand, a further output: [M] of `a`, [N] of `b`. The operand is contiguous across K, and there is no batch. */
export interface OperandSum {
  readonly of: 'a' | 'b';
  readonly output: number;
}

/** C = A·B over broadcast batches. output(0) is dense `[...batch, M, N]`, input(0) is `a`, input(1) is `b`. */
export interface MatmulProblem {
  /** Broadcast batch extents, two at most (`[B, H]`); `[]` for a plain product. */
  readonly batch: readonly number[];
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** `[...batch, M, K]`, f32: any offset, batch strides may be 0, one of the last two strides is 1 (or its extent). */
  readonly a: Operand;
  /** `[...batch, K, N]`, likewise. */
  readonly b: Operand;
  /** Elementwise tail in place of `store` (and `store4`, if it has one); its bindings follow a, b and output. */
  readonly epilogue?: StoreHook;
  /** A sum that rides along; its binding follows the output. */
  readonly sum?: OperandSum;
}

/** An operand as the kernels take it: lines `lead` apart, contiguous along its last dimension or, transposed, the one before. */
interface Matrix {
  readonly transposed: boolean;
  readonly lead: number;
  readonly offset: number;
  /** Whether whole vec4s can be read: all of offset, strides and the contiguous extent are divisible by 4. */
  readonly vec4: boolean;
}

/** One batch dimension: its extent and its stride in each operand. */
interface Batch {
  readonly extent: number;
  readonly a: number;
  readonly b: number;
}

/** The problem with as few batch dimensions and as many rows as it can be read with. */
interface Product {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly a: Matrix;
  readonly b: Matrix;
  readonly batch: readonly [Batch, Batch];
  readonly batches: number;
  readonly epilogue?: StoreHook;
  readonly sum?: OperandSum;
}

/** Whether the family can read `operand` as it lies (`[..., rows, columns]`); else the caller makes a dense copy first. */
export function isMatrix(operand: Operand): boolean {
  return lines(operand) !== null;
}

/** Direction and distance of an operand's lines, or null where neither of its last two dimensions is contiguous. */
function lines({ shape, strides }: Operand): { transposed: boolean; lead: number } | null {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const [row, column] = strides.slice(-2) as [number, number];
  if (column === 1) return { transposed: false, lead: row };
  if (row === 1) return { transposed: true, lead: column };
  if (columns === 1) return { transposed: false, lead: row };
  if (rows === 1) return { transposed: true, lead: column };
  return null;
}

function matrix(operand: Operand, batchStrides: readonly number[]): Matrix {
  const found = lines(operand);
  if (!found) {
    throw new UnsupportedError(
      `[matmul] one of the last two strides must be 1: shape [${operand.shape}], strides [${operand.strides}]`,
    );
  }
  const { transposed } = found;
  const [contiguous, count] = (transposed ? operand.shape.slice(-2) : operand.shape.slice(-2).reverse()) as [
    number,
    number,
  ];
  // The distance of a single line from the next means nothing, and must not cost the vec4 loads.
  const lead = count === 1 ? 0 : found.lead;
  const vec4 = [contiguous, lead, operand.offset, ...batchStrides].every((x) => x % 4 === 0);
  return { transposed, lead, offset: operand.offset, vec4 };
}

/** Drops batch dimensions of extent 1, joins those that lie as one, and makes rows of a batch that b does not see. */
function simplify({ batch, M, N, K, a, b, epilogue, sum }: MatmulProblem): Product {
  let rows = M;
  let left = a;
  let dims: Batch[] = batch.map((extent, i) => ({ extent, a: a.strides[i] as number, b: b.strides[i] as number }));
  dims = dims.filter(({ extent }) => extent > 1);
  const [outer, inner] = dims;
  if (outer && inner && outer.a === inner.extent * inner.a && outer.b === inner.extent * inner.b) {
    dims = [{ extent: outer.extent * inner.extent, a: inner.a, b: inner.b }];
  }
  const last = dims.at(-1);
  const [row, column] = a.strides.slice(-2) as [number, number];
  if (last && last.b === 0 && (column === 1 || K === 1) && (M === 1 || last.a === M * row)) {
    rows = last.extent * M;
    left = { ...a, shape: [rows, K], strides: [M === 1 ? last.a : row, column] };
    dims = dims.slice(0, -1);
  }
  const [second, first] = [dims.pop(), dims.pop()];
  const one: Batch = { extent: 1, a: 0, b: 0 };
  const pair = [first ?? one, second ?? one] as const;
  return {
    M: rows,
    N,
    K,
    a: matrix(
      left,
      pair.map((x) => x.a),
    ),
    b: matrix(
      b,
      pair.map((x) => x.b),
    ),
    batch: pair,
    batches: pair[0].extent * pair[1].extent,
    epilogue,
    sum,
  };
}

function constants({ N, K, a, b, sum }: Product): Record<string, number | boolean | string> {
  return {
    AElement: a.vec4 ? 'vec4<f32>' : 'f32',
    BElement: b.vec4 ? 'vec4<f32>' : 'f32',
    A_VEC4: a.vec4,
    B_VEC4: b.vec4,
    A_TRANSPOSED: a.transposed,
    B_TRANSPOSED: b.transposed,
    K_WHOLE: K % 4 === 0,
    N_WHOLE: N % 4 === 0,
    SUMMED: sum ? { a: 1, b: 2 }[sum.of] : 0,
  };
}

function uniforms({ M, N, K, a, b, batch, batches }: Product, splits: number, slice: number): Record<string, number> {
  const [batch0, batch1] = batch;
  return {
    M,
    N,
    K,
    splits,
    slice,
    batches,
    batch1: batch1.extent,
    aOffset: a.offset,
    aLead: a.lead,
    aBatch0: batch0.a,
    aBatch1: batch1.a,
    bOffset: b.offset,
    bLead: b.lead,
    bBatch0: batch0.b,
    bBatch1: batch1.b,
    ...noSideSum,
  };
}

/** How a variant cuts the output: rows and columns of a tile, tiles and threads of a workgroup, and the constants that say so. */
interface Tiling {
  readonly source: string;
  readonly M: number;
  readonly N: number;
  readonly perGroup: number;
  readonly threads: number;
  /** Iterations of a thread's loops for a step of 1 along K. */
  readonly loops: number;
  /** Whether sums of an operand have threads of their own, which may read it in either direction. */
  readonly sumsApart: boolean;
  readonly constants: Readonly<Record<string, number>>;
}

const inWorkgroupMemory = (M: number, N: number, K: number, blocksM: number, blocksN: number): Tiling => ({
  source: tiledText,
  M,
  N,
  perGroup: 1,
  threads: (M * N) / (16 * blocksM * blocksN),
  loops: 1,
  sumsApart: false,
  constants: { TILE_M: M, TILE_N: N, TILE_K: K, BLOCKS_M: blocksM, BLOCKS_N: blocksN },
});

/** A tile for each thread. */
const inRegisters = (blocks: number): Tiling => ({
  source: registersText,
  M: 4 * blocks,
  N: 4 * blocks,
  perGroup: 8,
  threads: 8,
  loops: 1 / 4,
  sumsApart: true,
  constants: { BLOCKS: blocks },
});

/** A tile for the four lanes of a quad. */
const inQuads: Tiling = {
  source: quadsText,
  M: 32,
  N: 16,
  perGroup: 1,
  threads: 4,
  loops: 1 / 4,
  sumsApart: true,
  constants: {},
};

const tilings = {
  tiled32: inWorkgroupMemory(32, 32, 16, 1, 1),
  tiled64: inWorkgroupMemory(64, 64, 16, 1, 1),
  tiled64x128: inWorkgroupMemory(64, 128, 16, 2, 1),
  tiled128: inWorkgroupMemory(128, 128, 8, 2, 2),
  registers4: inRegisters(1),
  registers8: inRegisters(2),
  registers16: inRegisters(4),
  quads: inQuads,
} as const satisfies Record<string, Tiling>;

type TilingName = keyof typeof tilings;

const sumLines = ({ M, N, sum }: Product): number => (sum ? { a: M, b: N }[sum.of] : 0);

function workgroups(product: Product, tiling: Tiling, splits = 1): number {
  const { M, N, perGroup, threads, sumsApart } = tiling;
  const tiles = Math.ceil(product.M / M) * Math.ceil(product.N / N) * product.batches * splits;
  const sums = sumsApart ? Math.ceil(sumLines(product) / 4) * splits : 0;
  return Math.ceil((tiles + (sums * perGroup) / threads) / perGroup);
}

/** A reason why a thread can't go through K in one go, or null; the loops that store the tile are short. */
const tooLong = (K: number, name: TilingName, profile: DeviceProfile): string | null =>
  tooManyIterations(K * tilings[name].loops + 512, profile);

type Extras = Pick<Product, 'epilogue' | 'sum'>;

/** What the sum and the epilogue add to a dispatch whose last own binding is its output. */
function withExtras(dispatch: Dispatch, { epilogue, sum }: Extras, target = sum && output(sum.output)): Dispatch {
  const bindings = [...dispatch.bindings];
  const declarations = dispatch.declarations ? [dispatch.declarations] : [];
  const functions = { ...dispatch.functions };
  if (target) {
    const binding = bindings.push(target);
    declarations.push(`@group(0) @binding(${binding}) var<storage, read_write> sums: array<f32>;`);
    functions.storeSum = 'fn storeSum(index: u32, value: f32) { sums[index] = value; }';
  }
  if (epilogue) {
    declarations.push(epilogue.declarations(bindings.length + 1));
    bindings.push(...epilogue.bindings);
    Object.assign(functions, epilogue.functions);
  }
  return { ...dispatch, functions, declarations: declarations.join('\n'), library: epilogue?.library, bindings };
}

/** The product, or the `splits` partial products of slices of K, without an epilogue. */
function multiply(product: Product, name: TilingName, splits: number, slice: number): Omit<Dispatch, 'kernel'> {
  const tiling: Tiling = tilings[name];
  return {
    source: tiling.source,
    constants: { ...constants(product), ...tiling.constants },
    bindings: [input(0), input(1), splits === 1 ? output(0) : scratch(0)],
    uniforms: uniforms(product, splits, slice),
    workgroups: grid(workgroups(product, tiling, splits)),
    sideThreads: tiling.threads,
  };
}

/** Tiles in workgroup memory add up what a thread brings, which must be four lines at one k. */
function cannotSum({ sumsApart }: Tiling, { sum, ...product }: Product): string | null {
  if (!sum || sumsApart || product[sum.of].transposed === (sum.of === 'a')) return null;
  return `the sum of ${sum.of} is along its contiguous dimension`;
}

function whole(name: TilingName): Variant<MatmulProblem> {
  return {
    unsupported(problem, profile) {
      if (name === 'quads' && !profile.subgroups) return 'the device has no subgroups';
      return cannotSum(tilings[name], simplify(problem)) ?? tooLong(problem.K, name, profile);
    },
    call(problem) {
      const product = simplify(problem);
      const dispatch = { kernel: `matmul/${name}`, ...multiply(product, name, 1, product.K) };
      return { dispatches: [withExtras(dispatch, problem)] };
    },
  };
}

/** No slice of K is longer, so that no driver stops a loop short. */
const longest = 2 ** 15;

/** Slices of K that bring `groups` workgroups to about 256: multiples of every TILE_K, about 128 steps or longer. */
function slices({ K }: Product, groups: number): { splits: number; slice: number } {
  const wanted = Math.max(2, Math.ceil(K / longest), Math.min(Math.ceil(256 / groups), Math.floor(K / 128)));
  const slice = Math.ceil(K / wanted / 16) * 16;
  return { splits: Math.ceil(K / slice), slice };
}

/** Splitting K makes up for large tiles on few rows and columns. */
function splitTiling(product: Product, profile: DeviceProfile): TilingName {
  if (profile.selection === 'software') return tilingOf(product, profile);
  return product.M > 32 && product.N > 32 ? 'tiled64' : 'tiled32';
}

/** How `splitK` cuts K, with which tiling, and the bytes of its partial products. */
function split(
  product: Product,
  profile: DeviceProfile,
): { name: TilingName; splits: number; slice: number; bytes: number } {
  const name = splitTiling(product, profile);
  const { splits, slice } = slices(product, workgroups(product, tilings[name]));
  return { name, splits, slice, bytes: 4 * splits * product.batches * product.M * product.N };
}

/** Partial products of slices of K, then their sum, which carries the epilogue. */
const splitK: Variant<MatmulProblem> = {
  unsupported(problem, profile) {
    const product = simplify(problem);
    const { name, splits, bytes } = split(product, profile);
    if (splits === 1) return `K = ${problem.K} is too short to split`;
    if (bytes > profile.bindingBytes)
      return `partial products take ${bytes} bytes, a binding has ${profile.bindingBytes}`;
    return cannotSum(tilings[name], product);
  },
  call(problem, profile) {
    const product = simplify(problem);
    const { name, splits, slice, bytes } = split(product, profile);
    const { M, N, batches, epilogue, sum } = product;
    const count = batches * M * N;
    const lines = sumLines(product);
    const partial: Dispatch = { kernel: `matmul/splitK/${name}`, ...multiply(product, name, splits, slice) };
    const total: Dispatch = {
      kernel: 'matmul/splitK/sum',
      source: sumText,
      constants: N % 4 === 0 ? { Element: 'vec4<f32>', VEC4: true } : {},
      ...(sum && partialSums),
      bindings: [scratch(0), output(0), ...(sum ? [scratch(1)] : [])],
      uniforms: { count, splits, sums: lines },
      workgroups: grid(Math.ceil((Math.ceil(count / 4) + lines) / 64)),
    };
    return {
      dispatches: [withExtras(partial, { sum }, sum && scratch(1)), withExtras(total, { epilogue, sum })],
      scratch: [bytes, ...(sum ? [4 * splits * lines] : [])],
    };
  },
};

/** Where the second pass of split K finds the partial sums [splits, lines] that rode along. */
const partialSums = {
  declarations: '@group(0) @binding(3) var<storage, read> partialSums: array<f32>;',
  functions: { partialSum: 'fn partialSum(index: u32) -> f32 { return partialSums[index]; }' },
};

/** M = 1: y = Bᵀ·aᵀ. N = 1: y = A·b. */
const gemv: Variant<MatmulProblem> = {
  unsupported(problem) {
    const { M, N } = simplify(problem);
    return M === 1 || N === 1 ? null : `neither M = ${M} nor N = ${N} is 1`;
  },
  call(problem) {
    const { M, N, K, a, b, batch, batches, sum } = simplify(problem);
    const [batch0, batch1] = batch;
    const isRow = M === 1;
    const rows = isRow ? N : M;
    const [w, v] = isRow ? [b, a] : [a, b];
    const transposed = w.transposed !== isRow;
    const slices = transposed ? 8 : 16;
    const dispatch = {
      kernel: 'matmul/gemv',
      source: gemvText,
      constants: {
        Element: w.vec4 ? 'vec4<f32>' : 'f32',
        VEC4: w.vec4,
        TRANSPOSED: transposed,
        K_WHOLE: K % 4 === 0,
        ROWS_WHOLE: N % 4 === 0,
        SLICES: slices,
        SUMMED: sum ? ((sum.of === 'b') === isRow ? 1 : 2) : 0,
      },
      bindings: [input(isRow ? 1 : 0), input(isRow ? 0 : 1), output(0)],
      uniforms: {
        rows,
        K,
        batches,
        batch1: batch1.extent,
        wOffset: w.offset,
        wLead: w.lead,
        wBatch0: isRow ? batch0.b : batch0.a,
        wBatch1: isRow ? batch1.b : batch1.a,
        vOffset: v.offset,
        vStride: v.transposed === isRow ? v.lead : 1,
        vBatch0: isRow ? batch0.a : batch0.b,
        vBatch1: isRow ? batch1.a : batch1.b,
      },
      workgroups: grid(Math.ceil(rows / ((4 * 128) / slices)) * batches),
    };
    return { dispatches: [withExtras(dispatch, problem)] };
  },
};

/** Where a tiling is worth it: from so many workgroups, rows, columns and products of scalars on. The first row that fits is taken. */
interface Row {
  readonly name: TilingName;
  readonly workgroups?: number;
  readonly scalars?: number;
  readonly M: number;
  readonly N: number;
}

const tables: Readonly<Record<'gpu' | 'software' | 'softwareWithSubgroups', readonly Row[]>> = {
  gpu: [
    { name: 'tiled128', workgroups: 256, M: 65, N: 65 },
    { name: 'tiled64x128', workgroups: 256, M: 33, N: 65 },
    { name: 'tiled64', workgroups: 64, M: 33, N: 33 },
    { name: 'tiled32', M: 1, N: 1 },
  ],
  // Mesa's lavapipe. It compiles registers16 for 0.35 s and registers8 for 0.2, which is slower by a tenth on small products.
  software: [
    { name: 'registers16', scalars: 2 ** 22, M: 5, N: 9 },
    { name: 'registers8', M: 5, N: 5 },
    { name: 'registers4', M: 1, N: 1 },
  ],
  // SwiftShader.
  softwareWithSubgroups: [
    { name: 'quads', M: 17, N: 9 },
    { name: 'registers8', M: 5, N: 5 },
    { name: 'registers4', M: 1, N: 1 },
  ],
};

function tilingOf(product: Product, { selection, subgroups }: DeviceProfile): TilingName {
  const table = tables[selection === 'software' && subgroups ? 'softwareWithSubgroups' : selection];
  const { M, N, K, batches } = product;
  const fits = (row: Row) =>
    M >= row.M &&
    N >= row.N &&
    batches * M * N * K >= (row.scalars ?? 0) &&
    workgroups(product, tilings[row.name]) >= (row.workgroups ?? 1);
  return (table.find(fits) ?? (table.at(-1) as Row)).name;
}

function select(problem: MatmulProblem, profile: DeviceProfile): string {
  const product = simplify(problem);
  const { M, N, K } = product;
  const gpu = profile.selection === 'gpu';
  // A software adapter reads B once for a row of A in registers too, and has no barrier to pay there.
  if (N === 1 || (M === 1 && gpu)) return 'gemv';
  if (gpu && K >= 512 && workgroups(product, tilings[splitTiling(product, profile)]) < 128) return 'splitK';
  const name = tilingOf(product, profile);
  return whole(name).unsupported?.(problem, profile) ? 'splitK' : name;
}

/** Layout and sizes to the nearest power of two, `NN 512 512 512`, and the number of products where there are several. */
function shapeClass(problem: MatmulProblem): string {
  const { a, b, M, N, K, batches } = simplify(problem);
  const letter = ({ transposed }: Matrix) => (transposed ? 'T' : 'N');
  return `${letter(a)}${letter(b)} ${roughly(M, N, K)}${batches > 1 ? ` × ${roughly(batches)}` : ''}`;
}

export const matmul: Family<MatmulProblem> = {
  name: 'matmul',
  variants: {
    tiled32: whole('tiled32'),
    tiled64: whole('tiled64'),
    tiled64x128: whole('tiled64x128'),
    tiled128: whole('tiled128'),
    registers4: whole('registers4'),
    registers8: whole('registers8'),
    registers16: whole('registers16'),
    quads: whole('quads'),
    gemv,
    splitK,
  },
  select,
  shapeClass,
};
