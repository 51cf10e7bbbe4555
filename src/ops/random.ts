import type { OpDef } from '../graph/op.ts';
import { applyOne, currentTrace } from '../graph/record.ts';
import { checkShape, type Shape } from '../graph/shape.ts';
import { expectKind, probability } from '../options.ts';
import { defaultGenerator, fillNormal, fillUniform, type Generator } from '../random.ts';
import { fromHost, type Tensor } from '../tensor.ts';
import { filled } from './create.ts';

/** The key and stream of the next random op: from the trace, which counts streams, or from the default generator. */
export function nextRandom(): { key: Tensor; stream: number } {
  const trace = currentTrace();
  if (trace) return trace.random();
  return { key: fromHost({ shape: [4], dtype: 'u32' }, defaultGenerator.take()), stream: 0 };
}

const uniformOp: OpDef = {
  name: 'uniform',
  infer: (_, { shape }) => [{ shape: shape as Shape, dtype: 'f32' }],
  lowering: {
    kind: 'elementwise',
    indexed: true,
    tables: [0],
    library: ['philox.wgsl'],
    expression: (_, { stream }, { index, element }) =>
      `randomUniform(vec4<u32>(${[0, 1, 2, 3].map((word) => element(0, word)).join(', ')}), ${stream}u, ${index})`,
  },
};

/** Uniform in [0, 1), drawn on the GPU: the same numbers on every device, compiled or not. */
export function uniform(shape: Shape): Tensor {
  const { key, stream } = nextRandom();
  return uniformOf(key, stream, checkShape('uniform', shape));
}

/** The numbers that a key and a stream stand for: an op that draws its own says so in plain ops. */
export function uniformOf(key: Tensor, stream: number, shape: Shape): Tensor {
  return applyOne(uniformOp, [key], { shape: [...shape], stream });
}

/** Zeros elements with the given probability and scales the rest by 1/(1 − p) (Srivastava et al. 2014). */
export function dropout(x: Tensor, rate: number): Tensor {
  checkProbability('dropout', rate);
  if (rate === 0) return x.version;
  // Nothing is kept; there is no scale that could make up for it.
  if (rate === 1) return x.mul(0);
  return x.mul(uniform(x.shape).greaterEqual(rate).cast('f32')).mul(1 / (1 - rate));
}

export function checkProbability(op: string, value: number): void {
  expectKind(op, 'the probability', value, probability);
}

/** Standard normal values, drawn on the host: the same weights everywhere. */
export function randn(shape: Shape, generator = defaultGenerator): Tensor {
  return drawn('randn', shape, generator, (values, source) => fillNormal(values, 0, 1, source));
}
/** Uniform values in [low, high), drawn on the host. */
export function rand(
  shape: Shape,
  { low = 0, high = 1 }: { low?: number; high?: number } = {},
  generator = defaultGenerator,
): Tensor {
  return drawn('rand', shape, generator, (values, source) => fillUniform(values, low, high, source));
}

/** Random numbers drawn on the host when they are first needed; their place in the sequence is taken now. */
export function drawn(
  op: string,
  shape: Shape,
  generator: Generator,
  fill: (values: Float32Array<ArrayBuffer>, source: Generator) => void,
): Tensor {
  checkShape(op, shape);
  const source = generator.branch();
  return filled(op, shape, (values) => fill(values, source));
}

/** For the registry. */
export const randomOps = { uniform: uniformOp } satisfies Readonly<Record<string, OpDef>>;
