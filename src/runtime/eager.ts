import { committed, mayFail } from '../compile/commit.ts';
import { dtypes, type HostArray } from '../core/dtype.ts';
import { DeviceLostError, UnsupportedError, WeftError } from '../core/errors.ts';
import { oneByOne } from '../core/oneByOne.ts';
import { byteSize } from '../core/types.ts';
import type { BufferRange, Storage } from '../device/buffers.ts';
import { currentDevice, hasDevice } from '../device/current.ts';
import type { Device } from '../device/device.ts';
import { statusBytes, Verdict } from '../device/status.ts';
import { type Node, reachable } from '../graph/node.ts';
import { passOf, takeKept } from '../graph/pending.ts';
import { currentTrace, eagerNodeCount, onEagerCall, takeEagerNodes, withTrace } from '../graph/record.ts';
import { type Assignment, pendingStates, stateOf, takeAssignments } from '../graph/state.ts';
import { structure } from '../graph/structure.ts';
import type { Tensor } from '../graph/tensor.ts';
import { cachedPlan } from './eagerPlans.ts';
import { Failure, failureOf, hasFailed, noteMissedUpdates, takeBack, throwFailure } from './failure.ts';
import { type Berth, leaveBerth } from './fill.ts';
import { gradientsBehind, groupsOf, isComputed, passesOf } from './groups.ts';
import { isAbroad, knownResidence, residenceOf, verdictOf } from './residence.ts';

/**
 * Runs uncompiled code: the graph behind a value is compiled when the value is needed, and the plan is kept by the graph's
 * structure, so that a loop compiles once.
 */

/** Pending nodes, or ops under `noGrad` in one chain, from which on they are computed even though nobody has asked. */
const longestChain = 1000;
/** Eager ops to wait before such a chain is computed: chains beside it, which it may cross, get as long meanwhile. */
const grace = 250;

/** Queues GPU work in program order, though compiling makes it asynchronous. */
export const inOrder = oneByOne();

/** The ends of chains that the next flush computes. */
let ends: Tensor[] = [];
/** Eager ops since the first of them. */
let opsSince = 0;

/** Computes what is pending, in the background. An error goes only to whoever reads a value that could not be computed. */
export function flush(): void {
  if (currentTrace()) return;
  const pending = takePending();
  if (pending.assignments.length + pending.others.length > 0) inOrder(() => computeAll(pending, [])).catch(() => {});
}

/**
 * Called for every eager op: pending states, and long chains of ops that no read or step interrupts, are computed before
 * they grow without bound. Chains that gradients may go through stay: backward wants what lies in the middle of them.
 */
export function flushIfLong(node: Node): void {
  if (eagerNodeCount() > longestChain && pendingStates.size > 0) flush();
  if (node.depth > longestChain && hasDevice()) {
    node.depth = 0;
    ends.push(...node.outputs);
  }
  if (ends.length > 0 && ++opsSince > grace) flush();
}

/** What a flush computes, whether somebody has asked for it or not. */
interface Pending {
  readonly assignments: readonly Assignment[];
  readonly others: readonly Tensor[];
}

function takePending(): Pending {
  takeEagerNodes();
  const others = [...takeKept(), ...ends];
  ends = [];
  opsSince = 0;
  return { assignments: takeAssignments(), others };
}

/** Throws at once inside a trace: the rejection of a promise would be lost there. */
export function expectOutside(): void {
  const trace = currentTrace();
  if (!trace) return;
  throw new WeftError(
    `[read] a value is read inside ${trace.label}; return it and read it outside, since the function runs once while it is traced`,
  );
}

/** Waits until `tensors`, and all pending states, are computed. Rejects where one of `tensors` can't be. */
export async function materialise(tensors: readonly Tensor[]): Promise<void> {
  expectOutside();
  const pending = takePending();
  await inOrder(() => computeAll(pending, tensors));
  throwFailure(tensors);
}

/** Brings values to the host: one submit and one mapping for all of them. */
export function readAll(tensors: readonly Tensor[]): Promise<HostArray[]> {
  expectOutside();
  return bring(tensors);
}

async function bring(tensors: readonly Tensor[]): Promise<HostArray[]> {
  const versions = tensors.map((tensor) => tensor.version);
  await materialise(versions);
  const results = new Array<HostArray>(versions.length);
  const onDevice: { tensor: Tensor; index: number }[] = [];
  for (const [index, tensor] of versions.entries()) {
    if (tensor.host) results[index] = tensor.host.slice() as HostArray;
    else onDevice.push({ tensor, index });
  }
  if (onDevice.length === 0) return results;
  const device = deviceOf(onDevice.map(({ tensor }) => tensor));
  const verdicts = [...new Set(onDevice.flatMap(({ tensor }) => verdictOf(tensor) ?? []))];
  const awaited = device.status.takeAwaited();
  const unknown = [...new Set([...verdicts.flatMap((verdict) => verdict.unknown), ...awaited])];
  const requests = [
    ...onDevice.map(({ tensor }) => {
      const { buffer, offset } = residenceOf(tensor).storageOn(device);
      return { buffer, offset, bytes: byteSize(tensor) };
    }),
    ...unknown.map((verdict) => ({ ...(verdict.place as BufferRange), bytes: statusBytes })),
  ];
  // Asks for the place only now: a small result moves when the plan that made it goes, which the garbage collector may
  // decide at any time.
  const bytes = await device.readback.read(requests, () =>
    requests.map((request, i) => {
      const tensor = onDevice[i]?.tensor;
      if (!tensor || knownResidence(tensor)?.device !== device) return request;
      const { buffer, offset } = residenceOf(tensor).storageOn(device);
      return { ...request, buffer, offset };
    }),
  );
  for (const [i, verdict] of unknown.entries())
    verdict.learn(new Uint32Array(bytes[onDevice.length + i] as ArrayBuffer));
  await device.readback.learnEarlier([...verdicts, ...awaited.filter(({ hasEarlierFindings }) => hasEarlierFindings)]);
  for (const verdict of verdicts) verdict.check();
  for (const [i, { tensor, index }] of onDevice.entries()) {
    results[index] = new dtypes[tensor.dtype].array(bytes[i] as ArrayBuffer) as HostArray;
  }
  return results;
}

/**
 * Forgets what is pending, since its inputs lie on a lost device; whoever asks for a value has it computed, if it can be.
 */
export function forgetPending(): void {
  for (const { state } of takePending().assignments) if (state.owner) state.owner.hasGradient = false;
}

/** The device that all of these lie on, or the default where they lie on none yet. */
export function deviceOf(tensors: readonly Tensor[]): Device {
  let device: Device | null = null;
  for (const tensor of tensors) {
    const own = knownResidence(tensor)?.device;
    if (!own) continue;
    if (device && device !== own) {
      if (device.isLost) device.check();
      if (own.isLost) own.check();
      throw new UnsupportedError(
        '[device] the tensors of one computation lie on two devices; read the values of one and make tensors of them on the other',
      );
    }
    device = own;
  }
  return device ?? currentDevice();
}

/**
 * Computes what is pending and what is wanted: all at once, or, where that fails or may fail, each group that hangs together
 * by itself. A group that can't run is taken back, and the others do not notice.
 */
async function computeAll({ assignments, others }: Pending, wanted: readonly Tensor[]): Promise<void> {
  const roots = [...new Set([...assignments.map(({ version }) => version), ...others, ...wanted])].filter(
    (tensor) => !tensor.isComputed && !hasFailed(tensor),
  );
  if (roots.length === 0) return;
  const errors: unknown[] = [];
  const computeGroups = async (groups: readonly (readonly Tensor[])[], parted: boolean): Promise<void> => {
    for (const group of groups) {
      const own = assignments.filter(({ version }) => group.includes(version));
      const missed = gradientsBehind(own)
        .map((gradient) => failureOf(gradient) ?? failureOf(passOf(gradient) ?? gradient))
        .find(Boolean);
      try {
        if (missed) throw missed.error;
        await compute(group, own);
      } catch (error) {
        if (error instanceof DeviceLostError) throw error;
        const parts = parted ? [] : groupsOf(group);
        if (parts.length > 1) {
          await computeGroups(parts, true);
          continue;
        }
        const told = group.some((root) => wanted.includes(root));
        if (told) errors.push(error);
        // What was only asked for may be asked for again.
        if (own.length > 0 || !told) takeBack(group, own, passesOf(group), missed ?? new Failure(error, told));
      }
    }
  };
  // Kernels that find bad data spoil all that is computed with them.
  const nodes = reachable(roots, isComputed);
  const parted = mayFail(nodes);
  await computeGroups(parted ? groupsOf(roots, nodes) : [roots], parted);
  if (errors.length > 0) throw errors[0];
}

/** Verdicts on the submits that made gradients. */
const gradientVerdicts = new WeakMap<Tensor, Verdict>();

async function compute(asked: readonly Tensor[], assignments: readonly Assignment[]): Promise<void> {
  const nodes = reachable(asked, isComputed);
  const roots = [...new Set([...asked, ...usedAgain(nodes)])];
  const given = Verdict.open([
    ...nodes.flatMap(({ inputs }) => inputs.map(verdictOf)),
    ...gradientsBehind(assignments).map((gradient) => gradientVerdicts.get(gradient) ?? null),
  ]);
  const values = mayFail(nodes) || given.length > 0 ? roots.map(guarding(assignments)) : roots;
  const { lines, leaves } = structure(values === roots ? nodes : reachable(values, isComputed), values);
  const device = deviceOf(leaves);
  if (device.isLost) device.check();
  const { executable, leafOrder } = await cachedPlan(device, lines.join(';'), values, leaves);
  await upload(device, leaves);
  const storages = await device.buffers.secured(() => {
    executable.reserve();
    return roots.map((root) => residenceOf(root).allocateOn(device));
  });
  try {
    executable.bind(
      leafOrder.map((position): BufferRange => residenceOf(leaves[position] as Tensor).storageOn(device)),
    );
  } catch (error) {
    for (const storage of storages) storage.release();
    throw error;
  }
  // Nothing fails from here on.
  const encoder = device.gpu.createCommandEncoder({ label: 'weft eager' });
  const line = assignments[0]?.state ?? null;
  const listeners = assignments.flatMap(({ state, version }) => state.listenerOf(version) ?? []);
  const verdict = executable.usesStatus ? device.status.begin(encoder, line, given, listeners) : Verdict.over(given);
  executable.encode(encoder);
  if (verdict && executable.usesStatus) device.status.end(encoder, verdict);
  for (const [i, { buffer, bytes }] of storages.entries()) {
    const from = executable.range(executable.program.results[i] as (typeof executable.program.results)[number]);
    encoder.copyBufferToBuffer(from.buffer, from.offset, buffer, 0, bytes);
  }
  device.gpu.queue.submit([encoder.finish()]);
  for (const node of nodes) node.ran = true;
  for (const [i, root] of roots.entries()) {
    residenceOf(root).settle(device, storages[i] as Storage);
    const state = stateOf(root);
    if (!state) residenceOf(root).verdict = verdict;
    else if (state.owner && verdict) gradientVerdicts.set(root, verdict);
    noteMissedUpdates(root, leaves);
  }
  verdict?.whenBad(() => {
    for (const assignment of assignments) assignment.state.restorePresence(assignment);
  });
}

/**
 * Finds values of `noGrad` that were computed before, but not kept, and that new nodes use: otherwise a state that goes
 * from read to read would be computed from its beginning each time.
 */
function usedAgain(nodes: readonly Node[]): Tensor[] {
  const inputs = nodes.flatMap(({ ran, inputs }) => (ran ? [] : inputs));
  return inputs.map(sourceOf).filter((tensor) => {
    const { ran, differentiable, op } = tensor.node;
    const repeats = op.lowering.kind === 'elementwise' && op.lowering.constant !== undefined;
    return ran && !differentiable && !repeats && !tensor.isComputed && !stateOf(tensor);
  });
}

/** What a view looks at. */
function sourceOf(tensor: Tensor): Tensor {
  let source = tensor;
  while (!source.isComputed) {
    const { op, inputs } = source.node;
    if (op.lowering.kind === 'segment') source = inputs[0] as Tensor;
    else if (op.lowering.kind === 'view') source = inputs[op.lowering.source?.(source.index) ?? 0] as Tensor;
    else break;
  }
  return source;
}

/** The new version of a state, where the submit has found nothing wrong. */
function guarding(assignments: readonly Assignment[]): (root: Tensor) => Tensor {
  const before = new Map(assignments.map((assignment) => [assignment.version, assignment.before]));
  return (root) => {
    const old = before.get(root);
    return old === undefined ? root : withTrace(null, () => committed(old, root));
  };
}

/** Brings values that have a source to the device, where they are on none yet: all of them, or none. */
export async function upload(device: Device, tensors: readonly Tensor[]): Promise<void> {
  const abroad = [...new Set(tensors)].filter(isAbroad);
  if (abroad.length === 0) return;
  const berths = await device.buffers.secured(() => abroad.map((tensor) => residenceOf(tensor).berthOn(device)));
  for (const [i, tensor] of abroad.entries()) {
    const berth = berths[i] as Berth;
    // Skips what somebody else has brought meanwhile.
    if (isAbroad(tensor)) residenceOf(tensor).upload(device, berth);
    else leaveBerth(device, berth);
  }
}

onEagerCall(flushIfLong);
