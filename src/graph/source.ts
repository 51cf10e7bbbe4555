import type { HostValues } from '../core/dtype.ts';
import type { fill } from '../kernels/fill.ts';

/** Random numbers that a device draws into place with one kernel, from stream 0 of a key. */
export interface Draw {
  readonly kind: 'uniform' | 'normal';
  readonly key: Uint32Array<ArrayBuffer>;
  /** What the function of the kind takes: see shaders/lib/random.wgsl. */
  readonly settings: Float32Array<ArrayBuffer>;
  readonly length: number;
  /** The kernel, which comes with what draws: who has no use for random numbers doesn't load it. */
  readonly fill: typeof fill;
}

/** A stretch of values that begins `offset` elements after the start. */
export interface Part {
  readonly offset: number;
  readonly values: HostValues | Draw;
}

/**
 * First values in parts, of which some are drawn on the device that first needs them. Parts of the host lie over drawn ones;
 * what no part covers is 0.
 */
export class PartedValues {
  /** Nothing that could be shown at once. */
  readonly inHand = null;
  readonly length: number;
  readonly parts: readonly Part[];

  constructor(length: number, parts: readonly Part[]) {
    this.length = length;
    this.parts = parts;
  }
}

/** Where the values of a leaf come from: the host, or a device that draws them. */
export type Source = HostValues | PartedValues;

/** A source as parts of something larger, in which it starts at `offset`. */
export function partsOf(source: Source, offset: number): Part[] {
  if (!(source instanceof PartedValues)) return [{ offset, values: source }];
  return source.parts.map((part) => ({ ...part, offset: offset + part.offset }));
}
