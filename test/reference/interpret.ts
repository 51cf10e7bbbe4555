import { type DType, HostValues } from '../../src/core/dtype.ts';
import { hostDraws } from '../../src/core/random.ts';
import { type Shape, sizeOf } from '../../src/core/shape.ts';
import type { Attributes } from '../../src/core/types.ts';
import { type Node, reachable } from '../../src/graph/node.ts';
import type { ScanLowering } from '../../src/graph/op.ts';
import { PartedValues } from '../../src/graph/source.ts';
import type { Tensor } from '../../src/index.ts';
import type { OpName } from '../../src/ops/registry.ts';
import { erf } from './elementwise.ts';
import { errorsOf, normalError } from './errors.ts';
import { evaluate, type Ref, ref, type rules } from './index.ts';
import * as random from './random.ts';
import { build, get, mapLines, reshape } from './ref.ts';

/** A value in float64, and how far an honest float32 computation of it may be off, element by element; null for not at all. */
export interface Approximation {
  readonly value: Ref;
  readonly error: Ref | null;
}

export interface InterpretOptions {
  /** Values to take for some tensors, in place of what they are. */
  readonly given?: ReadonlyMap<Tensor, Ref>;
  /** Whether to bound errors too; it takes several times as long. */
  readonly errors?: boolean;
}

/** Evaluates any graph of eager ops in float64, from the values that its leaves have on the host. */
export function interpret(
  roots: readonly Tensor[],
  { given = new Map(), errors = false }: InterpretOptions = {},
): Approximation[] {
  const known = new Map<Tensor, Approximation>();
  for (const [tensor, value] of given) known.set(tensor, { value, error: null });
  return run(
    roots.map((tensor) => tensor.version),
    known,
    errors,
  );
}

function run(roots: readonly Tensor[], known: Map<Tensor, Approximation>, errors: boolean): Approximation[] {
  for (const node of reachable(roots, (tensor) => known.has(tensor))) {
    const results = node.op.lowering.kind === 'leaf' ? [leaf(node)] : resultsOf(node, known, errors);
    for (const [i, result] of results.entries()) known.set(node.outputs[i] as Tensor, result);
  }
  return roots.map((root) => known.get(root) as Approximation);
}

function leaf(node: Node): Approximation {
  const [tensor] = node.outputs;
  if (tensor?.source instanceof PartedValues) return firstValues(tensor, tensor.source);
  if (!tensor?.host)
    throw new Error(`the interpreter needs the values of ${node.op.name} [${tensor?.shape}] on the host`);
  return { value: ref(tensor.shape, tensor.host), error: null };
}

/** What a device draws: uniform numbers to the bit, normal ones to 1e-6 of their standard deviation or themselves. */
function firstValues({ shape }: Tensor, { parts }: PartedValues): Approximation {
  const value = ref(shape);
  const error = ref(shape);
  for (const { offset, values } of parts) {
    if (values instanceof HostValues) {
      value.data.set(values.array, offset);
      error.data.fill(0, offset, offset + values.array.length);
      continue;
    }
    const numbers = new Float32Array(values.length);
    hostDraws[values.kind](numbers, values.key, values.settings);
    value.data.set(numbers, offset);
    const [mean = 0, std = 0] = values.settings;
    if (values.kind === 'normal')
      error.data.set(
        numbers.map((x) => normalError(x, mean, std)),
        offset,
      );
  }
  return { value, error: error.data.some((e) => e !== 0) ? error : null };
}

function resultsOf(node: Node, known: Map<Tensor, Approximation>, errors: boolean): Approximation[] {
  const inputs = node.inputs.map((tensor) => known.get(tensor) as Approximation);
  if (node.op.lowering.kind === 'scan') return scan(node, inputs, errors);
  const rule = (values: readonly Ref[]) => exact(node, values);
  const values = inputs.map(({ value }) => value);
  const outputs = rule(values).map((output, i) => stored(output, node.types[i]?.dtype ?? 'f32'));
  const bounds = errors ? errorsOf(node, inputs, outputs, rule) : outputs.map(() => null);
  return outputs.map((value, i) => ({ value, error: bounds[i] ?? null }));
}

/** Integers wrap as they do in WGSL. */
function stored(x: Ref, dtype: DType): Ref {
  if (dtype === 'i32')
    return ref(
      x.shape,
      x.data.map((value) => Math.trunc(value) | 0),
    );
  if (dtype === 'u32')
    return ref(
      x.shape,
      x.data.map((value) => Math.trunc(value) >>> 0),
    );
  return x;
}

function exact(node: Node, inputs: readonly Ref[]): readonly Ref[] {
  const adapted = Object.hasOwn(adapters, node.op.name) ? adapters[node.op.name as OpName] : undefined;
  return adapted ? adapted(inputs, node) : evaluate(node.op.name, inputs, node.attributes);
}

/** True for ops that the interpreter can compute. */
export function isKnown(op: string): boolean {
  if (op === 'scan' || Object.hasOwn(adapters, op)) return true;
  try {
    evaluate(op, []);
    return true;
  } catch (error) {
    return !(error instanceof Error && error.message.startsWith('the reference has no rule'));
  }
}

// ── ops whose attributes, inputs or outputs are not those of the rules ───────────────────────────────────────────────

type Adapter = (inputs: readonly Ref[], node: Node) => readonly Ref[];

const first = (inputs: readonly Ref[]) => inputs[0] as Ref;
const streamOf = (node: Node) => number(node.attributes, 'stream');
const shapeOf = (node: Node, output = 0) => (node.types[output] as { shape: Shape }).shape;
const number = (attributes: Attributes, name: string) => attributes[name] as number;
const numbers = (attributes: Attributes, name: string) => attributes[name] as readonly number[];

const renamed =
  (op: string, attributes: Attributes = {}): Adapter =>
  (inputs) =>
    evaluate(op, inputs, attributes);

/** The compiler asks for an op that the rules do not have; the others may be here too. */
type Adapters = Readonly<Record<Exclude<OpName, keyof typeof rules | 'scan'>, Adapter>> &
  Readonly<Partial<Record<OpName, Adapter>>>;

const adapters: Adapters = {
  copy: (inputs) => [first(inputs)],
  version: (inputs) => [first(inputs)],
  alias: (inputs) => [first(inputs)],
  linearCrossEntropy: (inputs) => [first(inputs)],
  checkpoint: (inputs, node) => inputs.slice(0, node.types.length),
  later: (inputs) => [first(inputs)],
  geluErf: renamed('gelu', { approximate: 'none' }),
  geluTanh: renamed('gelu', { approximate: 'tanh' }),
  geluErfGradient: (inputs) => [slopeOf(first(inputs), 'none')],
  geluTanhGradient: (inputs) => [slopeOf(first(inputs), 'tanh')],
  full: (_, node) => [
    ref(shapeOf(node), new Float64Array(sizeOf(shapeOf(node))).fill(number(node.attributes, 'value'))),
  ],
  iota: (_, node) => [build(shapeOf(node), (index) => index[number(node.attributes, 'axis')] as number)],
  uniform: ([key], node) => [random.uniform(key as Ref, streamOf(node), shapeOf(node))],
  uniformIn: ([key, settings], node) => [random.uniformIn(key as Ref, settings as Ref, streamOf(node), shapeOf(node))],
  normal: ([key, settings], node) => [random.normal(key as Ref, settings as Ref, streamOf(node), shapeOf(node))],
  randint: ([key, settings], node) => [random.randint(key as Ref, settings as Ref, streamOf(node), shapeOf(node))],
  bernoulli: ([p, key], node) => [random.bernoulli(p as Ref, key as Ref, streamOf(node))],
  turnKeys: ([key], { attributes }) => [random.turnKeys(key as Ref, attributes as never)],

  slice: (inputs, { attributes }) => {
    const [start, step, shape] = ['start', 'step', 'shape'].map((name) => numbers(attributes, name)) as [
      number[],
      number[],
      number[],
    ];
    const stop = start.map((from, i) => from + ((shape[i] as number) - 1) * (step[i] as number) + 1);
    return evaluate('slice', inputs, { start, stop, step });
  },
  pad: (inputs, { attributes }) => {
    const along = (name: string) =>
      first(inputs).shape.map((_, i) => (i === attributes.axis ? number(attributes, name) : 0));
    return evaluate('pad', inputs, {
      before: along('before'),
      after: along('after'),
      value: attributes.value as number,
    });
  },
  split: (inputs, node) => {
    const { shape } = first(inputs);
    const axis = number(node.attributes, 'axis');
    let from = 0;
    return numbers(node.attributes, 'extents').map((extent) => {
      const start = shape.map((_, i) => (i === axis ? from : 0));
      from += extent;
      return evaluate('slice', inputs, { start, stop: shape.with(axis, from), step: shape.map(() => 1) })[0] as Ref;
    });
  },
  pack: (inputs, node) => {
    const whole = ref(shapeOf(node));
    const offsets = numbers(node.attributes, 'offsets');
    for (const [i, { data }] of inputs.entries()) whole.data.set(data, offsets[i]);
    return [whole];
  },
  segment: (inputs, node) => {
    const offset = number(node.attributes, 'offset');
    return [ref(shapeOf(node), first(inputs).data.slice(offset, offset + sizeOf(shapeOf(node))))];
  },
  place: ([flat, value], { attributes }) => {
    const whole = ref((flat as Ref).shape, (flat as Ref).data);
    const offset = number(attributes, 'offset');
    const { data } = value as Ref;
    whole.data.fill(0, offset, offset + 64 * Math.ceil(data.length / 64));
    whole.data.set(data, offset);
    return [whole];
  },

  reduce: (inputs, { attributes: { kind = null, outer, n, inner } }) => {
    const x = reshape(first(inputs), [outer, n, inner] as number[]);
    return evaluate('reduce', [x], { kind, axes: [1] });
  },
  embeddingBackward: (inputs, { attributes }) =>
    evaluate('embeddingBackward', inputs, { rows: number(attributes, 'V') }),
  norm: (inputs, { attributes }) => evaluate(normOf(attributes), inputs, attributes),
  normBackward: (inputs, { attributes }) => {
    const [dx, dweight, dbias] = evaluate(`${normOf(attributes)}Backward`, inputs) as [Ref, Ref, Ref?];
    return [dx, ...(attributes.weight ? [dweight] : []), ...(attributes.bias ? [dbias as Ref] : [])];
  },
  attention: ([q, k, v, ...rest], node) =>
    evaluate('attention', [q, k, v, ...maskAndDropout(rest, node)] as Ref[], node.attributes),
  attentionBackward: ([q, k, v, O, lse, dO, ...rest], node) => {
    const inputs = [q, k, v, O, lse, dO, ...maskAndDropout(rest, node)] as Ref[];
    return evaluate('attentionBackward', inputs, node.attributes).slice(0, 3);
  },
  additiveAttentionBackward: (inputs, { attributes: { weighted } }) =>
    evaluate('additiveAttentionBackward', inputs.slice(0, weighted ? 7 : 6)),
  categorical: ([logits, key], node) => [
    bestOf(random.noisy(logits as Ref, key as Ref, streamOf(node)), shapeOf(node)),
  ],
  sample: ([logits, settings, key], node) => [
    bestOf(random.sampled(logits as Ref, settings as Ref, key as Ref, streamOf(node)), shapeOf(node)),
  ],

  adamw: ([parameters, gradients, mean, square, hyper, ...rest], { attributes }) => {
    const outputs = [parameters, mean, square].map((x) => ref((x as Ref).shape, (x as Ref).data));
    for (const [i, p] of (parameters as Ref).data.entries()) {
      const { step, scale, group, runs } = turnOf(attributes, rest, groupOf(hyper as Ref, 9, i), i);
      if (!runs) continue;
      const [lr, beta1, beta2, eps, decay, l2, ...logBetas] = row(hyper as Ref, 9, group);
      const [mean1, mean2] = logBetas.slice(0, 2).map((logBeta) => -Math.expm1(step * logBeta)) as [number, number];
      const g = get(gradients as Ref, i) * scale + l2 * p;
      const m = beta1 * get(mean as Ref, i) + (1 - beta1) * g;
      const v = beta2 * get(square as Ref, i) + (1 - beta2) * g * g;
      const next = p - decay * p - ((lr / mean1) * m) / (Math.sqrt(v) / Math.sqrt(mean2) + eps);
      for (const [n, value] of [next, m, v].entries()) (outputs[n] as Ref).data[i] = value;
    }
    return [...outputs, ...nextCounts(attributes, rest)];
  },
  sgd: ([parameters, gradients, hyper, ...rest], { attributes }) => {
    const buffer = attributes.momentum ? rest.shift() : undefined;
    const outputs = [parameters, ...(buffer ? [buffer] : [])].map((x) => ref((x as Ref).shape, (x as Ref).data));
    for (const [i, p] of (parameters as Ref).data.entries()) {
      const { step, scale, group, runs } = turnOf(attributes, rest, groupOf(hyper as Ref, 7, i), i);
      if (!runs) continue;
      const [lr, weightDecay, decay, momentum, nesterov] = row(hyper as Ref, 7, group);
      const g = get(gradients as Ref, i) * scale + weightDecay * p;
      const velocity = buffer && step > 1 ? momentum * get(buffer, i) + g : g;
      const direction = buffer ? (nesterov ? g + momentum * velocity : velocity) : g;
      for (const [n, value] of [p - decay * p - lr * direction, velocity].slice(0, outputs.length).entries())
        (outputs[n] as Ref).data[i] = value;
    }
    return [...outputs, ...nextCounts(attributes, rest)];
  },
  ruled: ([parameters, gradients, hyper, ...rest], { attributes }) => {
    const states = rest.splice(0, ['rmspropMomentum', 'rmspropCentered'].includes(attributes.rule as string) ? 2 : 1);
    const outputs = [parameters, ...states].map((x) => ref((x as Ref).shape, (x as Ref).data));
    for (const i of (parameters as Ref).data.keys()) {
      const { step, scale, group, runs } = turnOf(attributes, rest, groupOf(hyper as Ref, 7, i), i);
      if (!runs) continue;
      const [lr, l2, decay, a, b, c] = row(hyper as Ref, 7, group);
      const one = (value: number) => ref([1], [value]);
      const [p, g] = [get(parameters as Ref, i), get(gradients as Ref, i) * scale];
      const given = (gradient: number) => [one(p), one(gradient), ...states.map((x) => one(get(x, i)))];
      const next =
        attributes.rule === 'lion'
          ? evaluate('lion', given(g + l2 * p), { lr, betas: [a, b], weightDecay: decay / lr })
          : attributes.rule === 'adagrad'
            ? evaluate('adagrad', given(g), {
                lr,
                lrDecay: b,
                eps: a,
                initialAccumulatorValue: c,
                weightDecay: l2,
                step,
              })
            : evaluate(attributes.rule === 'rmspropCentered' ? 'rmspropCentered' : 'rmsprop', given(g), {
                lr,
                alpha: a,
                eps: b,
                momentum: c,
                weightDecay: l2,
              });
      // Lion's formula has the decay that acts on the parameter; here every rule has it.
      const decayed = attributes.rule === 'lion' ? 0 : decay * p;
      for (const [n, x] of next.entries()) (outputs[n] as Ref).data[i] = get(x, 0) - (n === 0 ? decayed : 0);
    }
    return [...outputs, ...nextCounts(attributes, rest)];
  },
  gate: ([counts, groups, ...rest], { attributes: { scaled, skips } }) => {
    const left = 0xffffffff;
    const scale = scaled ? rest[0] : undefined;
    const makes = skips === null || rest.every((each) => Number.isFinite(get(each, 0)));
    const runs = Array.from((groups as Ref).data, (group) => group !== left && makes);
    const next = (counts as Ref).data.map((count, i) => count + Number(runs[i]));
    const rows = Array.from(next, (count, i) => [count, factor(scale), get(groups as Ref, i), Number(runs[i])]);
    return [ref((counts as Ref).shape, next), ref([next.length, 4], rows.flat())];
  },
  clipScale: (inputs, { attributes }) => clipped(Math.sqrt(sumOf(first(inputs))), number(attributes, 'maxNorm')),
  clipNorm: ([gradients], { attributes }) =>
    clipped(Math.sqrt((gradients as Ref).data.reduce((sum, g) => sum + g * g, 0)), number(attributes, 'maxNorm')),
};

/** The position of the greatest of each row. */
function bestOf(scores: Ref, shape: Shape): Ref {
  const best = mapLines(scores, scores.shape.length - 1, (line) => [Math.max(0, line.indexOf(Math.max(...line)))]);
  return reshape(best, shape);
}

const normOf = ({ kind }: Attributes) => (kind === 'layer' ? 'layerNorm' : 'rmsNorm');

/** d gelu(x) / dx: Φ(x) + x φ(x), and the derivative of the tanh form. */
function slopeOf(x: Ref, approximate: 'none' | 'tanh'): Ref {
  const exactly = (value: number) =>
    Math.abs(value) === Infinity
      ? Number(value > 0)
      : 0.5 * (1 + erf(value / Math.SQRT2)) + (value * Math.exp(-0.5 * value ** 2)) / Math.sqrt(2 * Math.PI);
  const approximately = (value: number) => {
    if (Math.abs(value) > 100) return Number(value > 0);
    const t = Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3));
    return 0.5 * (1 + t) + 0.5 * value * (1 - t * t) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * value ** 2);
  };
  return ref(x.shape, x.data.map(approximate === 'tanh' ? approximately : exactly));
}

// ── updates of packed parameters ─────────────────────────────────────────────────────────────────────────────────────

/** Settings of a group, of which each has `length`. */
const row = (hyper: Ref, length: number, group: number) =>
  Array.from(hyper.data.slice(length * group, length * (group + 1))) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
const sumOf = (x: Ref) => x.data.reduce((a, b) => a + b, 0);

/** The factor of the gradients, where they were clipped. */
const factor = (scale: Ref | undefined) => (scale ? get(scale, 0) : 1);

/** The group of element i: the first that ends behind it, by the last of its `length` settings, in blocks of 64. */
function groupOf({ data }: Ref, length: number, i: number): number {
  const ends = Array.from({ length: data.length / length }, (_, group) => data[length * (group + 1) - 1] as number);
  return ends.length === 1 ? 0 : ends.findIndex((end) => i < 64 * end);
}

/** The step of element i: by its gate and the table of members, or by one count for all and the group given. */
function turnOf({ by }: Attributes, rest: readonly Ref[], own: number, i: number) {
  if (by !== 'gate') {
    const scale = by === 'scale' ? rest[0] : undefined;
    return { step: get(rest.at(-1) as Ref, 0) + 1, scale: factor(scale), group: own, runs: true };
  }
  const [gate, table] = rest as [Ref, Ref];
  const [step, scale, group, runs] = row(gate, 4, get(table, Math.floor(i / 64)));
  return { step, scale, group, runs: runs !== 0 };
}

function nextCounts({ by }: Attributes, rest: readonly Ref[]): Ref[] {
  if (by === 'gate') return [];
  const { shape, data } = rest.at(-1) as Ref;
  return [
    ref(
      shape,
      data.map((count) => count + 1),
    ),
  ];
}

function clipped(norm: number, maxNorm: number): Ref[] {
  return [ref([1], [norm]), ref([1], [Math.min(1, maxNorm / (norm + 1e-6))])];
}

// ── random numbers ───────────────────────────────────────────────────────────────────────────────────────────────────

/** The optional inputs of attention as the reference takes them: mask, and 0 or 1/(1 − p) for each weight. */
function maskAndDropout(rest: readonly Ref[], node: Node): (Ref | undefined)[] {
  const { masked, probability, stream } = node.attributes as { masked: boolean; probability: number; stream: number };
  const mask = masked ? rest[0] : undefined;
  if (probability === 0) return [mask];
  const [q, k] = node.inputs as readonly [Tensor, Tensor];
  const draws = random.uniform(rest.at(-1) as Ref, stream, [...q.shape.slice(0, 3), k.shape[2] as number]);
  return [
    mask,
    ref(
      draws.shape,
      draws.data.map((u) => (u >= Math.fround(probability) ? 1 / (1 - probability) : 0)),
    ),
  ];
}

// ── scan ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Runs the body once for each step, with the carry of the step before and the slices of that step. */
function scan(node: Node, inputs: readonly Approximation[], errors: boolean): Approximation[] {
  const { body, length, reverse } = node.op.lowering as ScanLowering;
  const [carries, slices] = [body.carries.length, body.slices.length];
  const ys: Approximation[][] = body.outputs.slice(carries).map(() => []);
  let carry = inputs.slice(0, carries);
  for (let step = 0; step < length; step++) {
    const t = reverse ? length - 1 - step : step;
    const known = new Map<Tensor, Approximation>();
    for (const [i, tensor] of body.carries.entries()) known.set(tensor, carry[i] as Approximation);
    for (const [i, tensor] of body.slices.entries()) known.set(tensor, part(inputs[carries + i] as Approximation, t));
    for (const [i, tensor] of body.captured.entries()) known.set(tensor, inputs[carries + slices + i] as Approximation);
    const results = run(body.outputs, known, errors);
    carry = results.slice(0, carries);
    for (const [i, y] of results.slice(carries).entries()) (ys[i] as Approximation[])[t] = y;
  }
  return [...carry, ...ys.map(stacked)];
}

function part({ value, error }: Approximation, t: number): Approximation {
  const size = sizeOf(value.shape.slice(1));
  const of = (x: Ref) => ref(x.shape.slice(1), x.data.slice(t * size, (t + 1) * size));
  return { value: of(value), error: error && of(error) };
}

function stacked(parts: readonly Approximation[]): Approximation {
  const shape = [parts.length, ...(parts[0] as Approximation).value.shape];
  const join = (values: readonly Ref[]) =>
    ref(
      shape,
      values.flatMap(({ data }) => [...data]),
    );
  const some = parts.some(({ error }) => error);
  return {
    value: join(parts.map(({ value }) => value)),
    error: some ? join(parts.map(({ value, error }) => error ?? ref(value.shape))) : null,
  };
}
