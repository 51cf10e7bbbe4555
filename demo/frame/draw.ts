import { fillNormal, fillUniform } from '../../src/core/random.ts';
import { Generator } from '../../src/index.ts';

/** Numbers of a seeded generator, one at a time: the data of an example is made with them, and is the same everywhere. */
export class Draw {
  readonly #uniform: () => number;
  readonly #normal: () => number;

  /** Streams of one seed, a whole number below 2^32, have nothing to do with each other. */
  constructor(seed: number, stream = 0) {
    const generator = new Generator((BigInt(stream) << 32n) | BigInt(seed));
    this.#uniform = oneByOne((target) => fillUniform(target, 0, 1, generator));
    this.#normal = oneByOne((target) => fillNormal(target, 0, 1, generator));
  }

  /** Uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * this.#uniform();
  }

  /** Normal, of mean 0 and standard deviation 1. */
  normal(): number {
    return this.#normal();
  }

  /** A whole number from 0 to `bound` − 1. */
  below(bound: number): number {
    return Math.floor(bound * this.#uniform());
  }

  /** True with that probability. */
  chance(probability: number): boolean {
    return this.#uniform() < probability;
  }

  /** One of the items. */
  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** The items in random order. */
  shuffled<Item>(items: readonly Item[]): Item[] {
    const order = [...items];
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j] as Item, order[i] as Item];
    }
    return order;
  }
}

/** Draws a thousand numbers at a time, since a generator has a price per call. */
function oneByOne(fill: (target: Float32Array) => Float32Array): () => number {
  const drawn = new Float32Array(1024);
  let next = drawn.length;
  return () => {
    if (next === drawn.length) {
      fill(drawn);
      next = 0;
    }
    return drawn[next++] as number;
  };
}
