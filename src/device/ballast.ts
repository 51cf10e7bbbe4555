/**
 * Host memory that makes the garbage collector see GPU memory. A collector sees the few bytes of a tensor's object, not
 * the megabytes that it holds on a device, so that a loop which drops large results fills the device before the collector
 * runs. Therefore one tensor in every so many bytes holds an array of that size. Nobody touches the array: the system
 * gives it addresses and no memory, and the collector counts it.
 */
export type Ballast = ArrayBuffer;

/** Tensors of fewer bytes don't count. */
const least = 2 ** 16;
/** Bytes of such an array. Systems take smaller ones from memory that was used before, which would have to be cleared. */
const quantum = 33 * 2 ** 20;
/** Bytes of tensors that no array stands for. */
let uncounted = 0;

/** Counts a tensor that holds `bytes` on a device; gives the array that it is to hold, where it is its turn. */
export function takeBallast(bytes: number): Ballast | null {
  if (bytes < least) return null;
  uncounted += bytes;
  if (uncounted < quantum) return null;
  const ballast = untouched(uncounted);
  uncounted = 0;
  return ballast;
}

/** Takes back the count of a tensor that was freed without the collector. */
export function giveBallast(bytes: number): void {
  if (bytes >= least) uncounted = Math.max(0, uncounted - bytes);
}

/** Lets the garbage collector see a need for memory, the more the longer somebody holds what it gives. */
export const pressure = (): Ballast | null => untouched(2 * quantum);

/** An array of so many bytes; null where there is none to be had. */
function untouched(bytes: number): Ballast | null {
  try {
    return new ArrayBuffer(bytes);
  } catch {
    return null;
  }
}
