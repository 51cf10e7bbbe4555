/**
 * A garbage collector sees the few bytes of a tensor's object, not the megabytes that it holds on a device, and lets a loop
 * that drops large results fill the device before it looks. So each such tensor holds an array of as many bytes, which
 * nobody touches: the system gives it addresses and no memory, and the collector counts it.
 */
export type Ballast = ArrayBuffer;

/** Tensors of fewer bytes hold none. */
const least = 2 ** 16;
/** Arrays of tensors that were disposed of, for the next ones of their size: a loop that frees what it makes needs no more. */
const spare: Ballast[] = [];
/** Bytes of these. */
const mostSpare = 2 ** 26;
let spareBytes = 0;

/** Ballast for a tensor that holds `bytes` on a device; null where that is little, or where there is none to be had. */
export function takeBallast(bytes: number): Ballast | null {
  if (bytes < least) return null;
  const at = spare.findIndex(({ byteLength }) => byteLength === bytes);
  if (at >= 0) {
    spareBytes -= bytes;
    return spare.splice(at, 1)[0] as Ballast;
  }
  try {
    return new ArrayBuffer(bytes);
  } catch {
    return null;
  }
}

/** Takes back the ballast of a tensor that was disposed of. */
export function giveBallast(ballast: Ballast | null): void {
  if (!ballast) return;
  spare.push(ballast);
  spareBytes += ballast.byteLength;
  while (spareBytes > mostSpare) spareBytes -= (spare.shift() as Ballast).byteLength;
}

/** Lets the garbage collector see a need for memory. */
export function pressCollector(): void {
  takeBallast(mostSpare);
}
