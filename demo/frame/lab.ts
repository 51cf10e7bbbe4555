import { type TrainOptions, train } from '../../src/index.ts';
import { duration } from '../duration.ts';
import type { Host } from '../host.ts';
import { Draw } from './draw.ts';

/** What examples need from where they run. */
export type LabHost = Pick<Host, 'runtime' | 'print' | 'progress' | 'readFile' | 'writeFile' | 'sources'>;

/** What an example is given: a seed, a text where there is one, and ways to train, to tell and to save. */
export class Lab {
  readonly seed: number;
  /** The text of `--text`; null without it. */
  readonly text: string | null;
  readonly #host: LabHost;
  readonly #folder: string;
  #streams = 0;

  constructor(host: LabHost, { seed, folder, text = null }: { seed: number; folder: string; text?: string | null }) {
    this.#host = host;
    this.#folder = folder;
    this.seed = seed;
    this.text = text;
  }

  /** Random numbers that have nothing to do with those of other calls: the first call has one stream, the second another. */
  draw(): Draw {
    return new Draw(this.seed, ++this.#streams);
  }

  print(text = ''): void {
    this.#host.print(text);
  }

  /** weft's own source files, by path. */
  sources(): Promise<Readonly<Record<string, string>>> {
    return this.#host.sources();
  }

  /** Saves a file beside the picture, and says where. */
  async save(name: string, bytes: Uint8Array): Promise<string> {
    const path = await this.#host.writeFile(this.#folder, name, bytes);
    this.print(`  written      ${path}`);
    return path;
  }

  /** Trains as `train` does, shows how far it is, and gives the loss of each step: in `losses`, where a failure ends it too. */
  async train<Batch>(
    label: string,
    options: TrainOptions<Batch> & { readonly steps: number },
    losses: number[] = [],
  ): Promise<number[]> {
    const begun = performance.now();
    this.print(`  ${label}`);
    for await (const { step, loss, losses: latest, secondsLeft } of train(options)) {
      losses.push(...latest);
      const progress = { loss, tokensPerSecond: Number.NaN, secondsLeft: secondsLeft ?? Number.NaN };
      this.#host.progress({ model: label, step, steps: options.steps, ...progress });
    }
    this.print(`  trained      in ${duration((performance.now() - begun) / 1000)}`);
    return losses;
  }
}
