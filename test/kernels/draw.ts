import { seed } from '../support/environment.ts';

/** Inputs drawn from the run's seed and a name, so that a test draws the same whatever runs beside it. */
export function drawFor(name: string): Draw {
  let hash = seed >>> 0;
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x01000193) >>> 0;
  return new Draw(hash);
}

export class Draw {
  #state: number;

  constructor(state: number) {
    this.#state = state;
  }

  /** Uniform in [0, 1): mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Uniform in [centre − scale, centre + scale). */
  f32(length: number, scale = 1, centre = 0): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length }, () => centre + scale * (2 * this.next() - 1));
  }

  /** Integers from `low` on, below `high`. */
  i32(length: number, low: number, high: number): Int32Array<ArrayBuffer> {
    return Int32Array.from({ length }, () => low + Math.floor(this.next() * (high - low)));
  }

  u32(length: number, low: number, high: number): Uint32Array<ArrayBuffer> {
    return Uint32Array.from({ length }, () => low + Math.floor(this.next() * (high - low)));
  }
}
