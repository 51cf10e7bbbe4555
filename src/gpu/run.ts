import { buildProgram } from '../compile/program.ts';
import { UnsupportedError, WeftError } from '../errors.ts';
import { dtypes, type HostArray } from '../graph/dtype.ts';
import { type Node, reachable } from '../graph/node.ts';
import { currentTrace, eagerNodeCount, takeEagerNodes } from '../graph/record.ts';
import { sizeOf } from '../graph/shape.ts';
import { pendingStates, stateOf } from '../graph/state.ts';
import { structure } from '../graph/structure.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import type { Tensor } from '../tensor.ts';
import { currentDevice, type Device, hasDevice } from './device.ts';
import { Executable, type Range } from './executable.ts';
import { oneByOne } from './oneByOne.ts';
import { statusBytes, Verdict } from './status.ts';

/**
 * Uncompiled use: the graph behind a value is compiled when the value is wanted, and the plan is kept by the graph's
 * structure, so that a loop compiles once.
 */

/** Eager plans that a device keeps. */
const keptPlans = 256;
/** Pending nodes, or ops under `noGrad` one after another, that are computed even though nobody has asked. */
const longestChain = 1000;
/** Eager ops after which such a chain is computed: those beside it, which it may cross, get as long meanwhile. */
const grace = 250;

/** Work on the queue goes in program order, though compiling makes it asynchronous. */
export const inOrder = oneByOne();

/** Values that the next flush computes and keeps, besides states: the loss that was differentiated. */
const kept = new Set<WeakRef<Tensor>>();
export function keepAtFlush(tensor: Tensor): void {
  kept.add(new WeakRef(tensor));
}

let flushError: unknown = null;

/** The ends of chains that the next flush computes. */
let ends: Tensor[] = [];
/** Eager ops since the first of them. */
let opsSince = 0;

/** Computes what is pending, in the background; errors show at the next await. */
export function flush(): void {
  if (currentTrace()) return;
  const roots = takePending();
  if (roots.length > 0) {
    inOrder(() => compute(roots)).catch((error: unknown) => {
      flushError ??= error;
    });
  }
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

function takePending(): Tensor[] {
  takeEagerNodes();
  const roots = [...pendingStates].map((state) => state.committed);
  pendingStates.clear();
  for (const reference of kept) {
    const tensor = reference.deref();
    if (tensor && !tensor.isComputed) roots.push(tensor);
  }
  kept.clear();
  roots.push(...ends);
  ends = [];
  opsSince = 0;
  return roots;
}

/** Waits until `tensors`, and all pending states, are computed. */
export async function materialise(tensors: readonly Tensor[]): Promise<void> {
  if (currentTrace()) {
    throw new WeftError(
      `[read] a value is read inside ${currentTrace()?.label}; return it and read it outside, since the function runs once while it is traced`,
    );
  }
  const roots = [...takePending(), ...tensors];
  await inOrder(() => compute(roots));
  const error = flushError;
  flushError = null;
  if (error) throw error;
}

/** Brings values to the host: one submit and one mapping for all of them. */
export async function readAll(tensors: readonly Tensor[]): Promise<HostArray[]> {
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
  const verdicts = [...new Set(onDevice.flatMap(({ tensor }) => tensor.verdict ?? []))];
  const unknown = [...new Set(verdicts.flatMap((verdict) => verdict.unknown))];
  const bytes = await device.readback.read([
    ...onDevice.map(({ tensor }) => {
      const { buffer, offset } = tensor.storageOn(device);
      return { buffer, offset, bytes: sizeOf(tensor.shape) * 4 };
    }),
    ...unknown.map((verdict) => ({ ...(verdict.place as Range), bytes: statusBytes })),
  ]);
  for (const [i, verdict] of unknown.entries())
    verdict.learn(new Uint32Array(bytes[onDevice.length + i] as ArrayBuffer));
  for (const verdict of verdicts) verdict.check();
  for (const [i, { tensor, index }] of onDevice.entries()) {
    results[index] = new dtypes[tensor.dtype].array(bytes[i] as ArrayBuffer) as HostArray;
  }
  return results;
}

/** The device that all of these lie on, or the default where they lie on none yet. */
export function deviceOf(tensors: readonly Tensor[]): Device {
  let device: Device | null = null;
  for (const tensor of tensors) {
    if (!tensor.device) continue;
    if (device && device !== tensor.device) {
      throw new UnsupportedError(
        '[device] the tensors of one computation lie on two devices; read the values of one and make tensors of them on the other',
      );
    }
    device = tensor.device;
  }
  return device ?? currentDevice();
}

interface CachedPlan {
  readonly executable: Executable;
  /** For each leaf of the program, its position in the canonical order of the graph. */
  readonly leafOrder: readonly number[];
}
interface PlanCache {
  /** What the kernels were selected for: each choice makes another. */
  readonly profile: DeviceProfile;
  readonly plans: Map<string, Promise<CachedPlan>>;
}
const caches = new WeakMap<Device, PlanCache>();

function plansOf(device: Device): PlanCache['plans'] {
  const known = caches.get(device);
  if (known?.profile === device.profile) return known.plans;
  for (const plan of known?.plans.values() ?? []) destroy(plan);
  const made: PlanCache = { profile: device.profile, plans: new Map() };
  caches.set(device, made);
  return made.plans;
}

function destroy(plan: Promise<CachedPlan>): void {
  plan.then(
    ({ executable }) => executable.destroy(),
    () => {},
  );
}

async function compute(wanted: readonly Tensor[], line: object | null = null): Promise<void> {
  const roots = [...new Set(wanted)].filter((tensor) => !tensor.isComputed);
  if (roots.length === 0) return;
  const nodes = reachable(roots, (tensor) => tensor.isComputed);
  const { lines, leaves } = structure(nodes, roots);
  const device = deviceOf(leaves);
  device.check();
  const plan = await cachedPlan(device, lines.join(';'), roots, leaves);
  const { executable } = plan;
  executable.bind(plan.leafOrder.map((position): Range => (leaves[position] as Tensor).storageOn(device)));
  const encoder = device.gpu.createCommandEncoder({ label: 'weft eager' });
  const given = Verdict.open(leaves.map(({ verdict }) => verdict));
  const verdict = executable.usesStatus ? device.status.begin(encoder, line, given) : Verdict.over(given);
  executable.encode(encoder);
  if (verdict && executable.usesStatus) device.status.end(encoder, verdict);
  for (const [i, root] of roots.entries()) {
    const bytes = sizeOf(root.shape) * 4;
    const storage = device.buffers.allocate(bytes, `weft ${root.node.op.name}`);
    const from = executable.range(executable.program.results[i] as (typeof executable.program.results)[number]);
    encoder.copyBufferToBuffer(from.buffer, from.offset, storage.buffer, 0, bytes);
    root.settle(device, storage);
    root.verdict = stateOf(root) ? null : verdict;
  }
  device.gpu.queue.submit([encoder.finish()]);
  device.check();
}

function cachedPlan(
  device: Device,
  key: string,
  roots: readonly Tensor[],
  leaves: readonly Tensor[],
): Promise<CachedPlan> {
  const cache = plansOf(device);
  const known = cache.get(key);
  if (known) {
    cache.delete(key);
    cache.set(key, known);
    return known;
  }
  const made = (async () => {
    const program = buildProgram({ results: roots, updates: [] }, (tensor) => tensor.isComputed, device.profile);
    const leafOrder = program.leaves.map(({ tensor }) => leaves.indexOf(tensor));
    return { executable: await Executable.create(device, program), leafOrder };
  })();
  cache.set(key, made);
  made.catch(() => cache.delete(key));
  for (const [oldest, plan] of cache) {
    if (cache.size <= keptPlans) break;
    cache.delete(oldest);
    destroy(plan);
  }
  return made;
}
