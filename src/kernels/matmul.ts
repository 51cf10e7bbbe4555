import gemvText from '../../shaders/matmul/gemv.wgsl' with { type: 'text' };
import sumText from '../../shaders/matmul/sum.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { bindingText } from './bindingText.ts';
import { family } from './family.ts';
import type { DeviceProfile, Dispatch, StoreHook, Variant } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { roughly } from './lanes.ts';
import { loop } from './loopLimit.ts';
import { type Padded, padOperands } from './matmulPadding.ts';
import { type MatmulProblem, type Matrix, type Product, simplify } from './matmulProblem.ts';
import { sumLines, type Tiling, type TilingName, tilingOf, tilings, workgroups } from './matmulTilings.ts';
import { noSideSum } from './sideSum.ts';

function constants({ K, a, b, sum }: Product): Record<string, number | boolean | string> {
  return {
    AElement: a.vec4 ? 'vec4<f32>' : 'f32',
    BElement: b.vec4 ? 'vec4<f32>' : 'f32',
    A_VEC4: a.vec4,
    B_VEC4: b.vec4,
    A_TRANSPOSED: a.transposed,
    B_TRANSPOSED: b.transposed,
    K_WHOLE: K % 4 === 0,
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

type Extras = Pick<Product, 'epilogue' | 'sum'>;

/**
 * What the sum, the epilogue and the way of storing add to a dispatch whose last own binding is its output. It stores lines of
 * `line` elements that lie next to each other.
 */
function withExtras(
  dispatch: Dispatch,
  line: number,
  { epilogue, sum }: Extras,
  target = sum && output(sum.output),
): Dispatch {
  const bindings = [...dispatch.bindings];
  const declarations = dispatch.declarations ? [dispatch.declarations] : [];
  const functions = { ...dispatch.functions };
  if (target) {
    const binding = bindings.push(target);
    declarations.push(bindingText(binding, 'read_write', 'sums', 'array<f32>'));
    functions.storeSum = 'fn storeSum(index: u32, value: f32) { sums[index] = value; }';
  }
  const whole = line % 4 === 0;
  const four = whole ? (epilogue ? epilogue.four : plainFour) : undefined;
  const tail = four ?? epilogue;
  if (tail) {
    Object.assign(functions, tail.functions);
    declarations.push(tail.declarations(bindings.length + 1));
  }
  bindings.push(...(epilogue?.bindings ?? []));
  return {
    ...dispatch,
    constants: {
      ...dispatch.constants,
      ...(whole && { STORE_WHOLE: true }),
      ...(four && { Output: 'vec4<f32>', ...four.constants }),
    },
    functions,
    declarations: declarations.join('\n'),
    library: epilogue?.library,
    bindings,
  };
}

/** Four at a time without an epilogue. */
const plainFour: StoreHook['four'] = {
  functions: { storeFour: 'fn storeFour(index: u32, value: vec4<f32>) { output[index >> 2u] = value; }' },
  declarations: () => '',
  constants: {},
};

/** The product, or the `splits` partial products of slices of K, without an epilogue. */
function multiply(
  product: Product,
  name: TilingName,
  splits: number,
  slice: number,
  [a, b]: Padded['operands'] = [input(0), input(1)],
): Omit<Dispatch, 'kernel'> {
  const tiling: Tiling = tilings[name];
  return {
    source: tiling.source,
    constants: { ...constants(product), ...tiling.constants },
    bindings: [a, b, splits === 1 ? output(0) : scratch(0)],
    uniforms: uniforms(product, splits, slice),
    workgroups: grid(workgroups(product, tiling, splits)),
    turns: tiling.turns(slice),
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
      if (name.startsWith('quads') && !profile.subgroups) return 'the device has no subgroups';
      return cannotSum(tilings[name], simplify(problem));
    },
    call(problem) {
      const product = simplify(problem);
      const dispatch = { kernel: `matmul/${name}`, ...multiply(product, name, 1, product.K) };
      return { dispatches: [withExtras(dispatch, product.N, problem)] };
    },
  };
}

/** The product after copies of the operands that can't be read in vec4s as they lie. */
const padded: Variant<MatmulProblem> = {
  unsupported(problem, profile) {
    const { product, scratch } = padOperands(simplify(problem));
    const name = tilingOf(product, profile);
    const bytes = Math.max(0, ...scratch);
    if (bytes > profile.bindingBytes)
      return `a padded operand takes ${bytes} bytes, a binding has ${profile.bindingBytes}`;
    return cannotSum(tilings[name], product);
  },
  call(problem, profile) {
    const { product, operands, copies, scratch } = padOperands(simplify(problem));
    const name = tilingOf(product, profile);
    const dispatch = { kernel: `matmul/padded/${name}`, ...multiply(product, name, 1, product.K, operands) };
    return { dispatches: [...copies, withExtras(dispatch, product.N, problem)], scratch };
  },
};

/** No slice of K is longer: rounding errors of a sum grow with its length. */
const longest = 2 ** 15;

/** Slices of K that bring `groups` workgroups to about 256: multiples of every TILE_K, about 128 steps or longer, but no longer than the device allows. */
function slices({ K }: Product, groups: number, tiling: Tiling, { loopLimit }: DeviceProfile) {
  const wanted = Math.max(2, Math.ceil(K / longest), Math.min(Math.ceil(256 / groups), Math.floor(K / 128)));
  let slice = Math.ceil(K / wanted / 16) * 16;
  while (slice > 16 && tiling.turns(slice) > loopLimit) slice = Math.ceil(slice / 2 / 16) * 16;
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
  const tiling = tilings[name];
  const { splits, slice } = slices(product, workgroups(product, tiling), tiling, profile);
  return { name, splits, slice, bytes: wordSize * splits * product.batches * product.M * product.N };
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
      constants: count % 4 === 0 ? { Element: 'vec4<f32>', VEC4: true } : {},
      ...(sum && partialSums),
      bindings: [scratch(0), output(0), ...(sum ? [scratch(1)] : [])],
      uniforms: { count, splits, sums: lines },
      workgroups: grid(Math.ceil((Math.ceil(count / 4) + lines) / 64)),
      turns: loop(splits) + loop(4),
    };
    return {
      dispatches: [withExtras(partial, N, { sum }, sum && scratch(1)), withExtras(total, count, { epilogue, sum })],
      scratch: [bytes, ...(sum ? [wordSize * splits * lines] : [])],
    };
  },
};

/** Where the second pass of split K finds the partial sums [splits, lines] that rode along. */
const partialSums = {
  declarations: bindingText(3, 'read', 'partialSums', 'array<f32>'),
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
      turns: loop(Math.ceil(K / (4 * slices))) + 2 * loop(slices) + 2 * loop(4),
    };
    return { dispatches: [withExtras(dispatch, rows, problem)] };
  },
};

function select(problem: MatmulProblem, profile: DeviceProfile): string {
  const product = simplify(problem);
  const { M, N, K } = product;
  const gpu = profile.selection === 'gpu';
  // A software adapter reads B once for a row of A in registers too, and has no barrier to pay there.
  if (N === 1 || (M === 1 && gpu)) return 'gemv';
  if (gpu && K >= 512 && workgroups(product, tilings[splitTiling(product, profile)]) < 128) return 'splitK';
  const name = tilingOf(product, profile);
  if (K > 8 * longest || whole(name).unsupported?.(problem, profile)) return 'splitK';
  if (name === 'registers16' && isWorthPadding(product) && !padded.unsupported?.(problem, profile)) return 'padded';
  return name;
}

/** On Mesa a copy pays for itself where enough tiles read the operand again: a third of the time at 625³, a tenth at 257³. */
function isWorthPadding({ M, N, K, a, b, batches }: Product): boolean {
  if ((a.vec4 && b.vec4) || batches * M * N * K < 2 ** 24) return false;
  return (a.vec4 || N >= 64) && (b.vec4 || M >= 64);
}

/** Layout and sizes to the nearest power of two, `NN 512 512 512`, and the number of products where there are several. */
function shapeClass(problem: MatmulProblem): string {
  const { a, b, M, N, K, batches } = simplify(problem);
  const letter = ({ transposed }: Matrix) => (transposed ? 'T' : 'N');
  return `${letter(a)}${letter(b)} ${roughly(M, N, K)}${batches > 1 ? ` × ${roughly(batches)}` : ''}`;
}

export const matmul = family<MatmulProblem>({
  name: 'matmul',
  variants: {
    tiled32: whole('tiled32'),
    tiled64: whole('tiled64'),
    tiled64x128: whole('tiled64x128'),
    tiled128: whole('tiled128'),
    registers4: whole('registers4'),
    registers8: whole('registers8'),
    registers16: whole('registers16'),
    quads16: whole('quads16'),
    quads: whole('quads'),
    gemv,
    splitK,
    padded,
  },
  select,
  shapeClass,
});
