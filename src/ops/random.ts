import '../kernels/randomLibrary.ts';
import type { DType } from '../core/dtype.ts';
import { ValueError } from '../core/errors.ts';
import { declareOptions, expectKind, finite, generatorLike, notNegative, probability } from '../core/options.ts';
import { defaultGenerator, type Generator, normalSettings, type Settings, uniformSettings } from '../core/random.ts';
import { checkShape, type Shape, sizeOf } from '../core/shape.ts';
import { fromHost } from '../graph/leaf.ts';
import { each, type Op, type OpDef } from '../graph/op.ts';
import { applyOne, currentTrace, expectDType, type KeySource, type Streams } from '../graph/record.ts';
import { type Draw, PartedValues } from '../graph/source.ts';
import type { Tensor } from '../graph/tensor.ts';
import { keyStride } from '../graph/trace.ts';
import type { ExpressionContext } from '../kernels/expression.ts';
import { fill } from '../kernels/fill.ts';
import { uniformText } from '../kernels/numbers.ts';
import { cast, full, greaterEqual, mul } from './elementwise.ts';

/**
 * Random ops. Their numbers are functions of a key (the generator's seed and position), a stream under it and the place of
 * the element, so that a kernel makes them anew wherever they are read, backward included, and a compiled step gives what
 * the same calls give uncompiled. Words, uniform numbers and masks are the same bits on every engine; normal numbers differ
 * between engines in the last bits.
 */

export interface RandomOptions {
  /** The generator to draw from; by default the one that `manualSeed` sets. */
  generator?: Generator | undefined;
}

/** Key and stream of the next `count` random ops: positions of the generator, taken now, or at each replay of a trace. */
export function nextRandom(source: KeySource = defaultGenerator, count = 1): Streams {
  const trace = currentTrace();
  if (trace) return trace.random(source, count);
  return { key: fromHost({ shape: [4], dtype: 'u32' }, source.take(count)), stream: 0 };
}

/** Four elements of an input that is a table. */
const four = (type: 'f32' | 'u32', table: number, { element }: ExpressionContext) =>
  `vec4<${type}>(${[0, 1, 2, 3].map((i) => element(table, i)).join(', ')})`;

/** Without a shape, that of the first input. */
type RandomOp = Op<[first: Tensor, ...others: Tensor[]], { shape?: Shape; stream: number }>;

/**
 * An op that makes numbers of random words with a function of shaders/lib/random.wgsl. Its inputs are `values` that go
 * element by element, the key, and a table of four settings, where it has some.
 */
function randomOp(name: string, dtype: DType, make: string, values: number, settings?: 'f32' | 'u32'): RandomOp {
  return {
    name,
    infer: ([first], { shape = first.shape }) => [{ shape, dtype }],
    lowering: {
      kind: 'elementwise',
      indexed: true,
      blocks: true,
      tables: settings ? [values, values + 1] : [values],
      library: ['bits', 'philox', 'random'],
      expression: (inputs, { stream }, context) => {
        const [suffix, words] = context.types.f32 === 'f32' ? ['', 'randomWord'] : ['4', 'randomBlock'];
        const drawn = `${words}(${four('u32', values, context)}, ${uniformText(stream, 'u32')}, ${context.index})`;
        const rest = [...inputs.slice(0, values), ...(settings ? [four(settings, values + 1, context)] : [])];
        return `${make}${suffix}(${[drawn, ...rest].join(', ')})`;
      },
    },
    // Passes no gradient: what is drawn does not move with a probability.
    gradient: ({ inputs }) => each(inputs, () => null),
  };
}

const uniformOp = randomOp('uniform', 'f32', 'unit', 0);
const uniformInOp = randomOp('uniformIn', 'f32', 'uniformIn', 0, 'f32');
const normalOp = randomOp('normal', 'f32', 'normalWith', 0, 'f32');
const randintOp = randomOp('randint', 'i32', 'integerIn', 0, 'u32');
const bernoulliOp = randomOp('bernoulli', 'f32', 'bernoulliWith', 1);

/** The keys of a scan's turns [T, 64], four words in each row: turn t starts t · count positions after the first. */
const turnKeysOp: Op<[key: Tensor], { length: number; stream: number; count: number; reverse: boolean }> = {
  name: 'turnKeys',
  infer: (_, { length }) => [{ shape: [length, keyStride], dtype: 'u32' }],
  lowering: {
    kind: 'elementwise',
    indexed: true,
    tables: [0],
    library: ['philox'],
    expression: (_, { length, stream, count, reverse }, context) => {
      const row = `(${context.index} / ${keyStride}u)`;
      const turn = reverse ? `(${uniformText(length - 1, 'u32')} - ${row})` : row;
      const position = `${uniformText(stream, 'u32')} + ${turn} * ${uniformText(count, 'u32')}`;
      return `keyWord(${four('u32', 0, context)}, ${position}, ${context.index} % ${keyStride}u)`;
    },
  },
};
export function turnKeys({ key, stream }: Streams, length: number, count: number, reverse: boolean): Tensor {
  return applyOne(turnKeysOp, [key], { length, stream, count, reverse });
}

export const randomOptions = declareOptions<RandomOptions>({ generator: generatorLike });

/** A random tensor of the given shape. */
function random(
  op: RandomOp,
  shape: Shape,
  generator: Generator | undefined,
  settings?: Settings | Uint32Array<ArrayBuffer>,
): Tensor {
  const { key, stream } = nextRandom(generator);
  const dtype = settings instanceof Float32Array ? 'f32' : 'u32';
  const tables = settings ? [fromHost({ shape: [4], dtype }, settings)] : [];
  return applyOne(op, [key, ...tables], { shape: [...shape], stream });
}

/** Options of `uniform` and `rand`: the range, and the generator to draw from. */
export interface UniformOptions extends RandomOptions {
  /** The least number that may come; 0 by default. */
  low?: number;
  /** What all numbers stay below; 1 by default. */
  high?: number;
}

export const uniformOptions = declareOptions<UniformOptions>({ low: finite, high: finite, generator: generatorLike });

/**
 * f32 numbers of the given shape, uniform in [low, high), 24 random bits each (Salmon et al. 2011: Philox). Throws ValueError
 * on bounds that are not finite or not in order.
 */
export function uniform(shape: Shape, options?: UniformOptions): Tensor {
  return uniformly('uniform', shape, options);
}

/** The same as `uniform`, under PyTorch's name: f32 numbers of the given shape, uniform in [low, high). */
export function rand(shape: Shape, options?: UniformOptions): Tensor {
  return uniformly('rand', shape, options);
}

function uniformly(op: string, shape: Shape, options: UniformOptions | undefined): Tensor {
  checkShape(op, shape);
  const { low = 0, high = 1, generator } = uniformOptions(op, options);
  checkBounds(op, low, high);
  if (low === 0 && high === 1) return random(uniformOp, shape, generator);
  return random(uniformInOp, shape, generator, uniformSettings(low, high));
}

/** The numbers in [0, 1) that a key and a stream stand for: an op that draws its own says so in plain ops. */
export function uniformOf(key: Tensor, stream: number, shape: Shape): Tensor {
  return applyOne(uniformOp, [key], { shape: [...shape], stream });
}

/** Options of `normal`: the distribution, and the generator to draw from. */
export interface NormalOptions extends RandomOptions {
  /** Mean of the distribution; 0 by default. */
  mean?: number;
  /** Standard deviation, at least 0; 1 by default. */
  std?: number;
}

export const normalOptions = declareOptions<NormalOptions>({
  mean: finite,
  std: notNegative,
  generator: generatorLike,
});

/**
 * f32 numbers of the given shape from the normal distribution (Wichura, AS 241, 1988). Throws ValueError on a mean or std
 * that is not finite, or std < 0.
 */
export function normal(shape: Shape, options?: NormalOptions): Tensor {
  checkShape('normal', shape);
  const { mean = 0, std = 1, generator } = normalOptions('normal', options);
  return random(normalOp, shape, generator, normalSettings(mean, std));
}

/** f32 numbers of the given shape from the standard normal distribution. */
export function randn(shape: Shape, options?: RandomOptions): Tensor {
  const { generator } = randomOptions('randn', options);
  return random(normalOp, checkShape('randn', shape), generator, normalSettings(0, 1));
}

/**
 * i32 integers of the given shape from [low, high), both within i32's range. Each comes up equally often to one part in
 * 2^32 / (high − low). Throws ValueError on bounds that are no integers or hold no integer between them.
 */
export function randint(low: number, high: number, shape: Shape, options?: RandomOptions): Tensor {
  checkShape('randint', shape);
  const { generator } = randomOptions('randint', options);
  if (!(Number.isInteger(low) && Number.isInteger(high) && low < high && low >= -(2 ** 31) && high <= 2 ** 31))
    throw new ValueError(`[randint] needs integers −2³¹ ≤ low < high ≤ 2³¹, got ${low} and ${high}`);
  // Writes 2^32 as 0: 32 bits hold no more.
  return random(randintOp, shape, generator, Uint32Array.of(low, high - low, 0, 0));
}

/**
 * 1 with the given probability, else 0, in f32: an element for each probability of a tensor, or `shape` for a number.
 * Elements of a tensor that are below 0 or above 1 count as these, and NaN gives NaN. Throws ValueError on such a number.
 */
export function bernoulli(p: Tensor, options?: RandomOptions): Tensor;
export function bernoulli(p: number, shape: Shape, options?: RandomOptions): Tensor;
export function bernoulli(p: Tensor | number, ...rest: readonly [(Shape | RandomOptions)?, RandomOptions?]): Tensor {
  const isNumber = typeof p === 'number';
  if (isNumber) checkProbability('bernoulli', p);
  const probabilities = isNumber ? full(checkShape('bernoulli', rest[0] as Shape), p) : p;
  expectDType('bernoulli', 'p', probabilities, ['f32']);
  const { generator } = randomOptions('bernoulli', (isNumber ? rest[1] : rest[0]) as RandomOptions | undefined);
  const { key, stream } = nextRandom(generator);
  return applyOne(bernoulliOp, [probabilities, key], { stream });
}

/**
 * x with elements zeroed with the given probability, and the rest scaled by 1/(1 − p), in x's shape (Srivastava et al.
 * 2014). Backward drops the same elements. Throws ValueError on a probability outside [0, 1].
 */
export function dropout(x: Tensor, rate: number, options?: RandomOptions): Tensor {
  checkProbability('dropout', rate);
  const { generator } = randomOptions('dropout', options);
  if (rate === 0) return x.version;
  // Keeps nothing: no scale could make up for it.
  if (rate === 1) return mul(x, 0);
  const kept = greaterEqual(random(uniformOp, x.shape, generator), rate);
  return mul(mul(x, cast(kept, 'f32')), 1 / (1 - rate));
}

export function checkProbability(op: string, value: number): void {
  expectKind(op, 'the probability', value, probability);
}

export function checkBounds(op: string, low: number, high: number): void {
  if (!(low <= high && Number.isFinite(Math.fround(high - low))))
    throw new ValueError(`[${op}] needs low ≤ high, and f32 numbers between them, got ${low} and ${high}`);
}

/** Numbers that the device which first needs them draws into place; their position in the sequence is taken now. */
export function drawn(kind: Draw['kind'], shape: Shape, settings: Settings, generator = defaultGenerator): Tensor {
  const length = sizeOf(shape);
  const values: Draw = { kind, key: generator.take(), settings, length, fill };
  return fromHost({ shape: [...shape], dtype: 'f32' }, new PartedValues(length, [{ offset: 0, values }]));
}

/** For the registry. */
export const randomOps = {
  uniform: uniformOp,
  uniformIn: uniformInOp,
  normal: normalOp,
  randint: randintOp,
  bernoulli: bernoulliOp,
  turnKeys: turnKeysOp,
} satisfies Readonly<Record<string, OpDef>>;
