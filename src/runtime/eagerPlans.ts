import { buildProgram } from '../compile/program.ts';
import { Recent } from '../core/recent.ts';
import type { Device } from '../device/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import { Executable } from './executable.ts';

/** Eager plans that a device keeps. */
const keptPlans = 256;

interface CachedPlan {
  readonly executable: Executable;
  /** For each leaf of the program, its position in the canonical order of the graph. */
  readonly leafOrder: readonly number[];
}
interface PlanCache {
  /** The profile that the kernels were selected for: other choices make another plan. */
  readonly profile: DeviceProfile;
  readonly plans: Recent<Promise<CachedPlan>>;
}
const caches = new WeakMap<Device, PlanCache>();

function plansOf(device: Device): PlanCache['plans'] {
  const known = caches.get(device);
  if (known?.profile === device.profile) return known.plans;
  for (const plan of known?.plans.values() ?? []) destroy(plan);
  const made: PlanCache = { profile: device.profile, plans: new Recent(keptPlans, destroy) };
  caches.set(device, made);
  return made.plans;
}

function destroy(plan: Promise<CachedPlan>): void {
  plan.then(
    ({ executable }) => executable.destroy(),
    () => {},
  );
}

/** The plan of a graph by its structure, `key`; built where a device has none, and kept for the next time. */
export function cachedPlan(
  device: Device,
  key: string,
  roots: readonly Tensor[],
  leaves: readonly Tensor[],
): Promise<CachedPlan> {
  const cache = plansOf(device);
  const known = cache.get(key);
  if (known) return known;
  const made = (async () => {
    const program = buildProgram({ results: roots, updates: [] }, (tensor) => tensor.isComputed, device.profile);
    const leafOrder = program.leaves.map(({ tensor }) => leaves.indexOf(tensor));
    return { executable: await Executable.create(device, program), leafOrder };
  })();
  cache.set(key, made);
  made.catch(() => cache.delete(key));
  return made;
}
