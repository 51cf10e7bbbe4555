import gemvText from '../../shaders/matmul/gemv.wgsl' with { type: 'text' };
import { family } from './family.ts';
import type { DeviceProfile, Variant } from './kernel.ts';
import { grid, input, output } from './kernel.ts';
import { roughly } from './lanes.ts';
import { loop } from './loopLimit.ts';
import { padOperands } from './matmulPadding.ts';
import { type MatmulProblem, type Matrix, type Product, simplify } from './matmulProblem.ts';
import { tilingOf, tilings } from './matmulTilings.ts';
import { cannotSum, multiply, productVariants, tilingOrSplit, withExtras } from './matmulVariants.ts';

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
  const { M, N } = product;
  const gpu = profile.selection === 'gpu';
  // A software adapter reads B once for a row of A in registers too, and has no barrier to pay there.
  if (N === 1 || (M === 1 && gpu)) return 'gemv';
  const name = tilingOrSplit(product, profile);
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
    ...productVariants('matmul', simplify),
    gemv,
    padded,
  },
  select,
  shapeClass,
});
