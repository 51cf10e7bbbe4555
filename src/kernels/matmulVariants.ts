import sumText from '../../shaders/matmul/sum.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { bindingText } from './bindingText.ts';
import type { DeviceProfile, Dispatch, StoreHook, Variant } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { loop } from './loopLimit.ts';
import type { Padded } from './matmulPadding.ts';
import type { Product } from './matmulProblem.ts';
import { sumLines, type Tiling, type TilingName, tilingOf, tilings, workgroups } from './matmulTilings.ts';
import { noSideSum } from './sideSum.ts';

/** How products are computed, whatever problem they stand for. */

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
export function withExtras(
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
export function multiply(
  product: Product,
  name: TilingName,
  splits: number,
  slice: number,
  [a, b]: Padded['operands'] = product.operands ?? [input(0), input(1)],
): Omit<Dispatch, 'kernel'> {
  const tiling: Tiling = tilings[name];
  const computed = product.computed?.[tiling.inBlocks ? 'blocks' : 'tiles'];
  return {
    source: tiling.source,
    constants: { ...constants(product), ...tiling.constants, ...computed?.constants },
    ...(computed && { functions: computed.functions, declarations: computed.declarations }),
    bindings: [a, b, splits === 1 ? output(0) : scratch(0)],
    uniforms: uniforms(product, splits, slice),
    workgroups: grid(workgroups(product, tiling, splits)),
    turns: tiling.turns(slice),
    sideThreads: tiling.threads,
  };
}

/** Tiles in workgroup memory add up what a thread brings, which must be four lines at one k. */
export function cannotSum({ sumsApart }: Tiling, { sum, ...product }: Product): string | null {
  if (!sum || sumsApart || product[sum.of].transposed === (sum.of === 'a')) return null;
  return `the sum of ${sum.of} is along its contiguous dimension`;
}

/** Variants of a family whose problems are products. */
export function productVariants<Problem extends Extras>(family: string, productOf: (problem: Problem) => Product) {
  const whole = (name: TilingName): Variant<Problem> => ({
    unsupported(problem, profile) {
      if (name.startsWith('quads') && !profile.subgroups) return 'the device has no subgroups';
      return cannotSum(tilings[name], productOf(problem));
    },
    call(problem) {
      const product = productOf(problem);
      const dispatch = { kernel: `${family}/${name}`, ...multiply(product, name, 1, product.K) };
      return { dispatches: [withExtras(dispatch, product.N, problem)] };
    },
  });
  return {
    tiled32: whole('tiled32'),
    tiled64: whole('tiled64'),
    tiled64x128: whole('tiled64x128'),
    tiled128: whole('tiled128'),
    registers4: whole('registers4'),
    registers8: whole('registers8'),
    registers16: whole('registers16'),
    quads16: whole('quads16'),
    quads: whole('quads'),
    splitK: splitK(family, productOf),
  };
}

/** No slice of K is longer: rounding errors of a sum grow with its length. */
export const longest = 2 ** 15;

/** Slices of K that bring `groups` workgroups to about 256: multiples of every TILE_K, about 128 steps or longer, but no longer than the device allows. */
function slices({ K }: Product, groups: number, tiling: Tiling, { loopLimit }: DeviceProfile) {
  const wanted = Math.max(2, Math.ceil(K / longest), Math.min(Math.ceil(256 / groups), Math.floor(K / 128)));
  let slice = Math.ceil(K / wanted / 16) * 16;
  while (slice > 16 && tiling.turns(slice) > loopLimit) slice = Math.ceil(slice / 2 / 16) * 16;
  return { splits: Math.ceil(K / slice), slice };
}

/** Splitting K makes up for large tiles on few rows and columns. */
export function splitTiling(product: Product, profile: DeviceProfile): TilingName {
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
function splitK<Problem extends Extras>(family: string, productOf: (problem: Problem) => Product): Variant<Problem> {
  return {
    unsupported(problem, profile) {
      const product = productOf(problem);
      const { name, splits, bytes } = split(product, profile);
      if (splits === 1) return `K = ${product.K} is too short to split`;
      if (bytes > profile.bindingBytes)
        return `partial products take ${bytes} bytes, a binding has ${profile.bindingBytes}`;
      return cannotSum(tilings[name], product);
    },
    call(problem, profile) {
      const product = productOf(problem);
      const { name, splits, slice, bytes } = split(product, profile);
      const { M, N, batches, epilogue, sum } = product;
      const count = batches * M * N;
      const lines = sumLines(product);
      const partial: Dispatch = { kernel: `${family}/splitK/${name}`, ...multiply(product, name, splits, slice) };
      const total: Dispatch = {
        kernel: `${family}/splitK/sum`,
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
}

/** Where the second pass of split K finds the partial sums [splits, lines] that rode along. */
const partialSums = {
  declarations: bindingText(3, 'read', 'partialSums', 'array<f32>'),
  functions: { partialSum: 'fn partialSum(index: u32) -> f32 { return partialSums[index]; }' },
};

/** The variant for a product without operands that lie badly: what the tables say, with a long K in slices. */
export function tilingOrSplit(product: Product, profile: DeviceProfile): TilingName | 'splitK' {
  const few = workgroups(product, tilings[splitTiling(product, profile)]) < 128;
  if (profile.selection === 'gpu' && product.K >= 512 && few) return 'splitK';
  const name = tilingOf(product, profile);
  return product.K > 8 * longest || cannotSum(tilings[name], product) ? 'splitK' : name;
}
