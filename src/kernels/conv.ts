import { sizeOf } from '../core/shape.ts';
import { alongRuns, spread, type Windows, windows, windowsAcross } from './convOperands.ts';
import { family } from './family.ts';
import { input, type StoreHook } from './kernel.ts';
import { roughly } from './lanes.ts';
import type { ComputedOperands, Matrix, Product } from './matmulProblem.ts';
import { productVariants, tilingOrSplit } from './matmulVariants.ts';

/**
 * A convolution or one of its two gradients, as products for which nothing is copied: kernels of matmul that find the elements
 * of one operand in a picture. With x [B, groups·channels, H, W], w [groups·filters, channels, KH, KW] and y [B, groups·filters,
 * OH, OW], of each picture and group
 *
 * | makes | A = input 1 | B = input 0 | output 0 |
 * |---|---|---|---|
 * | `output` | w [filters, channels·KH·KW] | windows of x [channels·KH·KW, OH·OW] | y |
 * | `input` | w [channels, filters·KH·KW] | what y has of each pixel of x [filters·KH·KW, H·W] | x |
 * | `weight` | y [filters, B·OH·OW] | windows of x [B·OH·OW, channels·KH·KW] | w |
 *
 * where the value named last is a gradient, and so are x or y that it is made of.
 */
export interface ConvProblem extends Windows {
  readonly makes: 'output' | 'input' | 'weight';
  readonly B: number;
  readonly groups: number;
  /** Channels of x and of y in a group. */
  readonly channels: number;
  readonly filters: number;
  readonly epilogue?: StoreHook;
}

const plain = (lead: number, offset: number, vec4: boolean): Matrix => ({ transposed: false, lead, offset, vec4 });
const fours = (...numbers: readonly number[]) => numbers.every((each) => each % 4 === 0);

interface Sizes {
  /** Elements of a group's filters, and of one of them. */
  readonly filters: number;
  readonly filter: number;
  readonly taps: number;
  /** Pixels of a channel of x and of y, and of all channels of a group. */
  readonly image: number;
  readonly result: number;
  readonly images: number;
  readonly results: number;
}

function sizesOf({ channels, filters, image, result, kernel }: ConvProblem): Sizes {
  const taps = sizeOf(kernel);
  const [pixels, places] = [sizeOf(image), sizeOf(result)];
  return {
    taps,
    filter: channels * taps,
    filters: filters * channels * taps,
    image: pixels,
    result: places,
    images: channels * pixels,
    results: filters * places,
  };
}

/** What the three have in common. */
function product(
  { B, groups, epilogue }: ConvProblem,
  own: Pick<Product, 'M' | 'N' | 'K' | 'a' | 'b'> & { batch?: Product['batch'] },
  computed: ComputedOperands,
  perGroup: { a: number; b: number },
  perPicture: { a: number; b: number },
): Product {
  const group = { extent: groups, ...perGroup };
  const batch: Product['batch'] = own.batch ?? [{ extent: B, ...perPicture }, group];
  return {
    ...own,
    batch,
    batches: batch[0].extent * batch[1].extent,
    operands: [input(1), input(0)],
    computed,
    ...(epilogue && { epilogue }),
  };
}

const both = (a: ComputedOperands | null, b: ComputedOperands): ComputedOperands => {
  const merged = (kind: keyof ComputedOperands) => ({
    constants: { ...a?.[kind].constants, ...b[kind].constants },
    functions: { ...a?.[kind].functions, ...b[kind].functions },
    declarations: [a?.[kind].declarations, b[kind].declarations].filter(Boolean).join('\n'),
  });
  return { tiles: merged('tiles'), blocks: merged('blocks') };
};

const computedMatrix: Matrix = { transposed: false, lead: 0, offset: 0, vec4: false };

/** The product that a problem is. */
export function productOf(problem: ConvProblem): Product {
  const { makes, B, groups, channels, filters } = problem;
  const own = sizesOf(problem);
  const [images, results] = [groups * own.images, groups * own.results];
  switch (makes) {
    case 'output': {
      const K = own.filter;
      return product(
        problem,
        { M: filters, N: own.result, K, a: plain(K, 0, fours(K)), b: computedMatrix },
        windows(problem, channels),
        { a: own.filters, b: own.images },
        { a: 0, b: images },
      );
    }
    case 'input': {
      // One filter's taps of a channel lie together, those of the next filter behind its other channels.
      const runs = { run: own.taps, jump: own.filter - own.taps, length: filters * own.taps };
      const vec4 = fours(own.taps, own.filter);
      return product(
        problem,
        { M: channels, N: own.image, K: runs.length, a: plain(own.taps, 0, vec4), b: computedMatrix },
        both(alongRuns(runs), spread(problem, filters)),
        { a: own.filters, b: own.results },
        { a: 0, b: results },
      );
    }
    case 'weight': {
      // One picture's places of a filter lie together, those of the next picture behind its other filters.
      const runs = { run: own.result, jump: results - own.result, length: B * own.result };
      const vec4 = fours(own.result);
      const one = { extent: 1, a: 0, b: 0 };
      return product(
        problem,
        {
          M: filters,
          N: own.filter,
          K: runs.length,
          a: plain(own.result, 0, vec4),
          b: { ...computedMatrix, transposed: true },
          batch: [one, { extent: groups, a: own.results, b: own.images }],
        },
        both(alongRuns(runs), windowsAcross(problem, channels, { count: B, distance: images })),
        { a: 0, b: 0 },
        { a: 0, b: 0 },
      );
    }
  }
}

/** What is made, and sizes to the nearest power of two. */
function shapeClass(problem: ConvProblem): string {
  const { M, N, K, batches } = productOf(problem);
  return `${problem.makes} ${roughly(M, N, K)}${batches > 1 ? ` × ${roughly(batches)}` : ''}`;
}

export const conv = family<ConvProblem>({
  name: 'conv',
  variants: productVariants('conv', productOf),
  select: (problem, profile) => tilingOrSplit(productOf(problem), profile),
  shapeClass,
});
