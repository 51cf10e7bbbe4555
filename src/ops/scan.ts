import { ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { callback, count, declareOptions, expectKind, flag, listOf, shown, tensorLike } from '../core/options.ts';
import { formatShape, type Shape, sameShape } from '../core/shape.ts';
import { takeRejection } from '../core/sync.ts';
import { aliasOp, leaf } from '../graph/leaf.ts';
import { type Node, reachable } from '../graph/node.ts';
import type { NoAttributes, Op, ScanBody } from '../graph/op.ts';
import { apply, applyOne, currentTrace, withTrace } from '../graph/record.ts';
import { replay } from '../graph/replay.ts';
import type { Tensor } from '../graph/tensor.ts';
import { BodyTrace } from '../graph/trace.ts';
import { type Dependence, dependences, Steps, worksAtOnce } from './atOnce.ts';
import { differentiateAll } from './autograd.ts';
import { add, zeros } from './elementwise.ts';
import { concat } from './join.ts';
import { nextRandom, turnKeys } from './random.ts';
import { copyBody, keptValues, nodesAfterwards, sumAfterwards } from './scanGradient.ts';
import { isWorthKeeping, motionOf, type Step } from './scanMotion.ts';
import { slice } from './slice.ts';
import { unsqueeze } from './view.ts';

/** One step of a recurrence: from the carry and a slice of xs to the next carry and a slice of ys. */
export type ScanStep = (carry: Tensor[], x: Tensor[]) => { carry: Tensor[]; y: Tensor[] };

export interface ScanOptions {
  /** Whether it goes from the last slice to the first; default false. */
  reverse?: boolean;
  /** The number of steps, where there are no xs to tell. */
  length?: number;
}
const scanOptions = declareOptions<ScanOptions>({ reverse: flag, length: count });

/**
 * A recurrence over time: `body` is traced once and replayed for each slice of `xs` along dimension 0. Gives the last carry
 * and the stacked ys. What depends on no carry, or what no carry depends on, is computed for all steps at once where that
 * is possible. Its gradient is the scan in reverse, for which the results of products and the like are kept, and what is
 * elementwise is computed again; a `checkpoint` in the body keeps less. The body may use tensors and parameters from outside;
 * products with them give their gradient in one product after the loop. What it draws at random is fresh at each turn, as a
 * loop would draw it, and the same in backward.
 */
export function scan(
  body: ScanStep,
  carry: readonly Tensor[],
  xs: readonly Tensor[],
  options?: ScanOptions,
): { carry: Tensor[]; ys: Tensor[] } {
  const { reverse = false, length } = scanOptions('scan', options);
  expectKind('scan', 'the body', body, callback);
  expectKind('scan', 'carry', carry, listOf(tensorLike));
  expectKind('scan', 'xs', xs, listOf(tensorLike));
  const T = length ?? xs[0]?.shape[0];
  if (T === undefined || !Number.isInteger(T) || T < 1)
    throw new ShapeError('[scan] the number of steps follows from xs; without xs give `length`');
  for (const x of xs) {
    if (x.shape[0] !== T)
      throw new ShapeError(`[scan] all xs must have ${T} slices along dimension 0, got ${formatShape(x.shape)}`);
  }
  const result = recur(T, reverse, (loop) => {
    const places = carry.map((start) => loop.carry(start));
    return checkStep(body(places, xs.map(loop.slice)), carry);
  });
  return { carry: result.carry, ys: result.ys };
}

/** Throws where the body returns something else than carry and ys, for those who have no compiler to say it. */
function checkStep(result: ReturnType<ScanStep>, carry: readonly Tensor[]): ReturnType<ScanStep> {
  const what = takeRejection(result) ? 'a promise: it must not be async' : shown(result);
  const isObject = typeof result === 'object' && result !== null;
  if (!isObject || [result.carry, result.y].some((part) => !listOf(tensorLike).accepts(part)))
    throw new ValueError(
      `[scan] the body must return { carry: [tensors], y: [tensors] }, got ${what}; without results of each step, y is []`,
    );
  if (result.carry.length !== carry.length)
    throw new ShapeError(`[scan] the body returns ${result.carry.length} carries for ${carry.length}`);
  for (const [i, next] of result.carry.entries()) {
    const before = nth(carry, i);
    if (!sameShape(next.shape, before.shape) || next.dtype !== before.dtype) {
      throw new ShapeError(
        `[scan] carry ${i} starts as ${before.dtype} ${formatShape(before.shape)} and the body makes it ${next.dtype} ${formatShape(next.shape)}; they must be equal`,
      );
    }
  }
  return result;
}

/** Where a loop takes its values from. */
interface Loop {
  /** The place of a carry that starts with this value. */
  readonly carry: (start: Tensor) => Tensor;
  /** The place of a slice of these, [T, ...]. */
  readonly slice: (xs: Tensor) => Tensor;
}

/** Traces a step and records the loop over it, less what need not be in it. */
function recur(
  T: number,
  reverse: boolean,
  build: (loop: Loop) => ReturnType<ScanStep>,
): { carry: Tensor[]; ys: Tensor[] } {
  const trace = new BodyTrace(currentTrace());
  const starts = new Map<Tensor, Tensor>();
  const slices = new Map<Tensor, Tensor>();
  const place = (values: Map<Tensor, Tensor>, value: Tensor, shape: Shape) => {
    const own = leaf('input', { shape, dtype: value.dtype });
    values.set(own, value);
    return own;
  };
  const result = trace.run(() =>
    build({
      carry: (start) => place(starts, start, start.shape),
      slice: (xs) => place(slices, xs, xs.shape.slice(1)),
    }),
  );
  for (const { source, key, streams } of trace.randoms.keys())
    slices.set(key, turnKeys(nextRandom(source, T * streams), T, streams, reverse));
  const nexts = result.carry.map((tensor) => tensor.version);
  const ys = result.y.map((tensor) => tensor.version);
  const step: Step = { carries: [...starts.keys()], slices: [...slices.keys()], nexts, ys };

  const isGiven = (tensor: Tensor) => tensor.node.trace !== trace || starts.has(tensor) || slices.has(tensor);
  const nodes = reachable([...nexts, ...ys], isGiven);
  const dependence = dependences(nodes, step.carries, step.slices);
  const { before, after } = motionOf(step, nodes, dependence);
  const steps = new Steps(dependence, T, (tensor) => (tensor.node.trace === trace ? undefined : tensor));
  for (const [own, xs] of slices) steps.set(own, xs);

  // What the loop has to give for what is made after it.
  const isView = ({ node }: Tensor) => node.op.lowering.kind === 'view' && worksAtOnce(node, dependence);
  const isMadeAfter = (tensor: Tensor) => after.has(tensor.node) && !isGiven(tensor);
  const isMadeBefore = (tensor: Tensor) => before.has(tensor.node) && !isGiven(tensor);
  const wanted = new Set<Tensor>();
  const histories = new Set<Tensor>();
  const isThere = (tensor: Tensor) => dependence(tensor) === 'fixed' || slices.has(tensor) || isMadeBefore(tensor);
  const want = (tensor: Tensor) => {
    if (isThere(tensor) || isMadeAfter(tensor)) return;
    // Looks at all steps of what a view looks at.
    const source = isView(tensor) && !isGiven(tensor) ? nth(tensor.node.inputs, 0) : null;
    if (source && isWorthKeeping([source], [tensor], step.carries)) return want(source);
    const next = starts.has(tensor) ? nth(nexts, step.carries.indexOf(tensor)) : null;
    if (!next || starts.has(next)) wanted.add(tensor);
    else {
      histories.add(tensor);
      if (!isThere(next)) wanted.add(next);
    }
  };
  ys.forEach(want);
  for (const node of after) node.inputs.forEach(want);

  // What is fixed and takes work is done outside, once.
  const isFixedWork = ({ node }: Tensor) => {
    const { lowering } = node.op;
    return (
      lowering.kind === 'kernel' || lowering.kind === 'scan' || (lowering.kind === 'elementwise' && !lowering.constant)
    );
  };
  const isFromOutside = (tensor: Tensor) =>
    isGiven(tensor) || isMadeBefore(tensor) || (dependence(tensor) === 'fixed' && isFixedWork(tensor));
  const roots = [...nexts, ...wanted];
  const rest = reachable(roots, isFromOutside);
  const read = new Set([...roots, ...rest.flatMap(({ inputs }) => inputs)].filter(isFromOutside));
  const bodySlices = [...read].filter((tensor) => slices.has(tensor) || isMadeBefore(tensor));
  const captured = [...read].filter((tensor) => dependence(tensor) === 'fixed');
  const used = new Set([...wanted, ...nexts]);
  for (const tensor of keptFor(step, rest, dependence)) wanted.add(tensor);
  const traced: ScanBody = {
    carries: step.carries,
    slices: bodySlices,
    captured,
    outputs: [...nexts, ...wanted],
  };
  const inputs = [...starts.values(), ...bodySlices.map((x) => steps.of(x)), ...captured.map((x) => steps.fixed(x))];
  const outputs = roots.length > 0 ? applyScan(traced, inputs, T, reverse, used) : [];
  for (const [i, tensor] of [...wanted].entries()) steps.set(tensor, nth(outputs, nexts.length + i));
  for (const carry of histories)
    steps.set(
      carry,
      statesBefore(steps.of(nth(nexts, step.carries.indexOf(carry))), starts.get(carry) as Tensor, reverse),
    );
  return { carry: outputs.slice(0, nexts.length), ys: ys.map((y) => steps.of(y)) };
}

/** What backward may ask for: the results of each step. Those that nobody reads cost nothing. */
function keptFor({ nexts }: Step, nodes: readonly Node[], dependence: (tensor: Tensor) => Dependence): Tensor[] {
  if (!nodes.some(({ differentiable }) => differentiable)) return [];
  const computed = nodes.flatMap((node) =>
    node.op.lowering.kind === 'view' && worksAtOnce(node, dependence) ? [] : node.outputs,
  );
  return [...computed, ...nexts].filter((tensor) => dependence(tensor) !== 'fixed');
}

/** The values of a state at the start of each step, [T, ...], from those at the end and the very first. */
export function statesBefore(after: Tensor, start: Tensor, reverse: boolean): Tensor {
  const T = nth(after.shape, 0);
  const first = unsqueeze(start, 0);
  if (T === 1) return first;
  return reverse ? concat([slice(after, [[1]]), first]) : concat([first, slice(after, [[0, -1]])]);
}

/** The op of one scan, with inputs and outputs as `ScanLowering` says; `used` are results that are there in any case. */
function applyScan(
  body: ScanBody,
  inputs: readonly Tensor[],
  T: number,
  reverse: boolean,
  used: ReadonlySet<Tensor>,
): readonly Tensor[] {
  const op: Op<Tensor[], NoAttributes, Tensor[]> = {
    name: 'scan',
    infer: () =>
      body.outputs.map((tensor, i) => ({
        shape: i < body.carries.length ? tensor.shape : [T, ...tensor.shape],
        dtype: tensor.dtype,
      })),
    lowering: { kind: 'scan', length: T, reverse, body },
    gradient: (node, outputGradients, wanted) => scanGradient(body, node, outputGradients, wanted, T, reverse, used),
  };
  return apply(op, inputs);
}

/**
 * The carry of the reversed scan holds the gradients of the carry and, adding up, of what was captured, unless that is left
 * to one product after the loop; its ys are the gradients of xs, and what such products need. It is a scan like any other,
 * of incoming gradients too, and has a gradient itself.
 */
function scanGradient(
  body: ScanBody,
  { inputs, outputs }: Node,
  outputGradients: readonly (Tensor | null)[],
  wanted: readonly boolean[],
  T: number,
  reverse: boolean,
  used: ReadonlySet<Tensor>,
): (Tensor | null)[] {
  const carries = body.carries.length;
  const given = [...body.carries, ...body.slices, ...body.captured];
  const values = new Map(given.map((tensor, i) => [tensor, nth(inputs, i)]));
  const captured = new Set(body.captured);
  const isGiven = (tensor: Tensor) => values.has(tensor);
  const nodes = reachable(body.outputs, isGiven);
  const dependence = dependences(nodes, body.carries, body.slices);
  const steps = stepsOf(body, inputs, outputs, dependence, T, reverse);
  const isWanted = (tensor: Tensor, i: number) => tensor.dtype === 'f32' && wanted[i] === true;
  const targets = new Set(given.filter((tensor, i) => (i < carries ? tensor.dtype === 'f32' : isWanted(tensor, i))));
  const afterwards = nodesAfterwards(body, nodes, dependence, (tensor) => captured.has(tensor) && targets.has(tensor));

  const places: { readonly ofSlices: Tensor[]; readonly ofCaptured: Tensor[]; readonly ofNodes: Node[] } = {
    ofSlices: [],
    ofCaptured: [],
    ofNodes: [],
  };
  const ofCarries = body.carries.filter((tensor) => targets.has(tensor));
  const around = currentTrace();
  const outside = <T>(make: () => T) => withTrace(around, make);
  const result = recur(T, !reverse, (loop) => {
    const own = new Map(given.map((tensor) => [tensor, leaf('input', tensor)]));
    const { copies, ends } = copyBody(
      nodes,
      own,
      (node, input) => afterwards.has(node) && dependence(input) === 'fixed',
    );
    const copyOf = (tensor: Tensor) => copies.get(tensor) as Tensor;
    const carried = ofCarries.map((tensor) => {
      const i = body.carries.indexOf(tensor);
      return loop.carry(outputGradients[i] ?? outside(() => zeros(tensor.shape)));
    });
    const seeds = ofCarries.map((tensor, n) => {
      const next = nth(body.outputs, body.carries.indexOf(tensor));
      return [copyOf(next), nth(carried, n)] as const;
    });
    for (const [i, output] of body.outputs.entries()) {
      const gradient = outputGradients[i];
      if (i >= carries && gradient) seeds.push([copyOf(output), loop.slice(gradient)]);
    }
    const wantedCopies = new Set([...targets].map(copyOf));
    const later = new Set([...afterwards].map((node) => copyOf(nth(node.outputs, 0))));
    const found = differentiateAll(
      seeds,
      (tensor) => wantedCopies.has(tensor) || later.has(tensor),
      (tensor) => wantedCopies.has(tensor) || ends.has(tensor),
    );
    const isFound = (tensor: Tensor) => targets.has(tensor) && found.has(copyOf(tensor));
    const ofCaptured = body.captured.filter(isFound);
    const ofSlices = body.slices.filter(isFound);
    const ofNodes = [...afterwards].filter((node) => found.has(copyOf(nth(node.outputs, 0))));
    places.ofCaptured.push(...ofCaptured);
    places.ofSlices.push(...ofSlices);
    places.ofNodes.push(...ofNodes);

    const gradientOf = (tensor: Tensor) => found.get(copyOf(tensor)) ?? zeros(tensor.shape);
    const gradients = [
      ...ofCarries.map(gradientOf),
      ...ofCaptured.map(gradientOf),
      ...ofSlices.map(gradientOf),
      ...ofNodes.map((node) => gradientOf(nth(node.outputs, 0))),
    ];
    const kept = keptValues({ body, nodes, dependence, afterwards, used }, gradients, copies);
    const known = new Map(body.captured.map((tensor) => [copyOf(tensor), values.get(tensor) as Tensor]));
    for (const tensor of kept) known.set(copyOf(tensor), loop.slice(outside(() => steps.of(tensor))));
    const all = replay(gradients, known);
    const sums = ofCaptured.map((tensor, n) =>
      add(loop.carry(outside(() => zeros(tensor.shape))), nth(all, ofCarries.length + n)),
    );
    return {
      carry: [...all.slice(0, ofCarries.length), ...sums],
      y: all.slice(ofCarries.length + ofCaptured.length),
    };
  });

  const gradients = new Map<Tensor, Tensor>();
  for (const [n, tensor] of [...ofCarries, ...places.ofCaptured].entries()) gradients.set(tensor, nth(result.carry, n));
  for (const [n, tensor] of places.ofSlices.entries()) gradients.set(tensor, nth(result.ys, n));
  const stacked = places.ofNodes.map((node, n) => ({ node, dy: nth(result.ys, places.ofSlices.length + n) }));
  for (const [tensor, gradient] of sumAfterwards(
    steps,
    stacked,
    dependence,
    body.captured.filter((each) => targets.has(each)),
  )) {
    const inLoop = gradients.get(tensor);
    gradients.set(tensor, inLoop ? add(inLoop, gradient) : gradient);
  }
  return given.map((tensor, i) => (i < carries || targets.has(tensor) ? (gradients.get(tensor) ?? null) : null));
}

/** The values of all steps of a scan that has run. */
function stepsOf(
  body: ScanBody,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  dependence: (tensor: Tensor) => Dependence,
  T: number,
  reverse: boolean,
): Steps {
  const [carries, slices] = [body.carries.length, body.slices.length];
  // Names of their own, so that a tensor which is captured and sliced has a gradient for either.
  const fixed = new Map(
    body.captured.map((tensor, i) => [tensor, applyOne(aliasOp, [nth(inputs, carries + slices + i)])]),
  );
  const steps = new Steps(dependence, T, (tensor) => fixed.get(tensor));
  for (const [i, tensor] of body.slices.entries()) steps.set(tensor, nth(inputs, carries + i));
  const stacked = body.outputs.slice(carries);
  for (const [i, tensor] of stacked.entries()) steps.set(tensor, nth(outputs, carries + i));
  for (const [i, tensor] of body.carries.entries())
    if (!stacked.includes(tensor))
      steps.set(tensor, statesBefore(steps.of(nth(body.outputs, i)), nth(inputs, i), reverse));
  return steps;
}
