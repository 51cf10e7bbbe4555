import {
  type Compiled,
  compile,
  manualSeed,
  optim,
  type Tensor,
  type TuneOptions,
  type TuneReport,
  tensor,
  text,
  tune,
} from '../src/index.ts';
import type { Config } from './configs.ts';
import { createModel, type LanguageModel } from './models.ts';

/** A model that is being trained, with all that its next step depends on. */
export class Training {
  readonly config: Config;
  readonly model: LanguageModel;
  readonly optimizer: optim.AdamW;
  /** Where the next batch begins. */
  readonly loader: text.BatchIterator;
  /** What weights and dropout are drawn from. */
  readonly generator: ReturnType<typeof manualSeed>;
  /** The training loss of each step so far, as far as it has been read. */
  losses: number[] = [];
  readonly #step: Compiled<[ids: Tensor, targets: Tensor], Tensor>;

  constructor(config: Config, vocabularySize: number, trainIds: Int32Array, seed: number) {
    this.config = config;
    this.generator = manualSeed(seed);
    this.model = createModel(config, vocabularySize);
    this.optimizer = optimizerOf(this.model, config);
    this.loader = text.batches(trainIds, { batch: config.batch, length: config.context, seed });
    this.#step = compile((ids: Tensor, targets: Tensor) => {
      const loss = this.model.loss(ids, targets);
      loss.backward();
      optim.clipGradNorm(this.model.parameters(), config.clip);
      this.optimizer.step();
      this.optimizer.zeroGrad();
      return loss;
    });
  }

  /** Trains on a batch, by default the next; the loss can be read later. */
  async step([ids, targets] = this.loader.next().value): Promise<Tensor> {
    const shape = this.loader.shape;
    return this.#step(tensor(ids, { shape }), tensor(targets, { shape }));
  }

  /** Measures which kernels are the fastest for the step, and uses them from then on. Nothing is trained. */
  async tune(options: TuneOptions): Promise<TuneReport> {
    const { shape } = this.loader;
    const ids = () => tensor(new Int32Array(this.config.batch * this.config.context), { shape });
    return tune(this.#step, [ids(), ids()], options);
  }
}

/** AdamW over two groups: weight decay for matrices, none for biases and gains; warm-up, then half a cosine. */
function optimizerOf(model: LanguageModel, config: Config): optim.AdamW {
  const { lr, finalLr, steps, warmup, betas, weightDecay } = config;
  const decay = optim.cosine({ steps: Math.max(1, steps - warmup), minimum: finalLr / lr });
  const matrices = model.parameters().filter((parameter) => parameter.rank >= 2);
  const vectors = model.parameters().filter((parameter) => parameter.rank < 2);
  return new optim.AdamW([{ params: matrices }, { params: vectors, weightDecay: 0 }], {
    lr,
    betas,
    weightDecay,
    schedule: optim.warmup(decay, warmup),
  });
}

/** PyTorch's and weft's crossEntropy leave targets with this value out. */
const ignored = -100;

/** Windows in a step of validation. */
const rows = 32;

/** Mean loss over all windows of the context's length that do not overlap, in nats per character. */
export async function validationLoss(model: LanguageModel, ids: Int32Array, context: number): Promise<number> {
  model.eval();
  const lossOf = compile((x: Tensor, y: Tensor) => model.loss(x, y));
  let sum = 0;
  let count = 0;
  for (const [inputs, targets] of text.windows(ids, { length: context, batch: rows })) {
    const shape = [rows, context];
    const loss = await lossOf(
      tensor(padded(inputs, rows * context, 0), { shape }),
      tensor(padded(targets, rows * context, ignored), { shape }),
    );
    sum += (await loss.item()) * targets.length;
    count += targets.length;
  }
  model.train();
  return sum / count;
}

/** The last batch may be smaller: filled up, it fits the plan of the others. */
function padded(values: Int32Array, length: number, value: number): Int32Array<ArrayBuffer> {
  const filled = new Int32Array(length).fill(value);
  filled.set(values);
  return filled;
}
