import { ValueError } from '../core/errors.ts';
import { count, declareOptions, type Kind, object, oneOf, shown } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Conv1d } from '../nn/conv.ts';
import { Linear } from '../nn/linear.ts';
import { crossEntropy } from '../ops/crossEntropy.ts';
import { cast, div, relu, where } from '../ops/elementwise.ts';
import { sequenceMask } from '../ops/masks.ts';
import { max, sum } from '../ops/reduce.ts';
import { permute, unsqueeze } from '../ops/view.ts';
import { type ReadOptions, SequenceModel, type StepsConfig, stepsKinds } from './sequence.ts';

/** Which steps a unit of a time-delay layer sees. */
export interface TimeDelayConfig {
  /** How many steps, around its own. */
  width: number;
  /** From one of them to the next; 1 by default. */
  dilation?: number;
}
const timeDelay = declareOptions<TimeDelayConfig>({ width: count, dilation: count }, ['width']);

/** Sizes and settings of a TDNN: either `vocabularySize` and `embedding`, or `features`. */
export interface TDNNConfig extends StepsConfig {
  /** The time-delay layers, from the bottom. */
  layers: readonly TimeDelayConfig[];
  /** Units of each layer. */
  channels: number;
  /** Classes to tell apart, C. */
  classes: number;
  /** How the steps of the last layer become one: the greatest of each unit, or the mean; `max` by default. */
  pool?: 'max' | 'mean';
}
const layerList: Kind<readonly TimeDelayConfig[]> = {
  wanted: 'an array of one or more layers, like [{ width: 3 }, { width: 3, dilation: 2 }]',
  accepts: (value): value is readonly TimeDelayConfig[] =>
    Array.isArray(value) && value.length > 0 && value.length <= 1000,
};
const tdnnConfig = declareOptions<TDNNConfig>(
  { ...stepsKinds, layers: layerList, channels: count, classes: count, pool: oneOf('max', 'mean') },
  ['layers', 'channels', 'classes'],
);

/**
 * A time-delay neural network that tells the class of a sequence (Waibel et al. 1989): layers of units that see a few steps
 * each, ReLU between them, and what the last layer gives over all steps taken together. Units of layer n see
 * 1 + Σ (width − 1)·dilation steps in all, and nothing tells them where in the sequence these are.
 */
export class TDNN extends SequenceModel {
  /** The time-delay layers. */
  readonly layers: readonly Conv1d[];
  /** Scores of the classes, [B, channels] → [B, C]. */
  readonly head: Linear;
  /** The configuration, with its defaults filled in. */
  readonly config: Readonly<TDNNConfig>;

  constructor(config: TDNNConfig) {
    super(tdnnConfig('TDNN', config));
    const { layers, channels, classes } = config;
    this.config = { pool: 'max', ...config };
    this.layers = layers.map((layer, i) => {
      if (!object.accepts(layer))
        throw new ValueError(`[TDNN] layer ${i} must be an object like { width: 3 }, got ${shown(layer)}`);
      const { width, dilation = 1 } = timeDelay(`TDNN, layer ${i}`, layer);
      return new Conv1d(i === 0 ? this.inputSize : channels, channels, width, { padding: 'same', dilation });
    });
    this.head = new Linear(channels, classes);
  }

  /** How many steps a unit of the last layer sees. */
  get span(): number {
    return this.config.layers.reduce((span, { width, dilation = 1 }) => span + (width - 1) * dilation, 1);
  }

  /**
   * Ids [B, T] or features [B, T, I] → logits [B, C]. Beyond its length a row counts as zeros in every layer. Throws a
   * ShapeError where x is of another shape, a ValueError where lengths are not from 1 to T.
   */
  forward(x: Tensor, options?: ReadOptions): Tensor {
    const steps = this.read(x, options);
    const [T] = steps.x.shape as [number];
    const { lengths } = steps;
    const mask = lengths && unsqueeze(sequenceMask(lengths, T), 1); // [B, 1, T]
    const within = (values: Tensor) => (mask ? where(mask, values, 0) : values);
    let values = within(permute(steps.x, [1, 2, 0])); // [B, I, T]
    for (const layer of this.layers) values = within(relu(layer.forward(values))); // [B, channels, T]
    return this.head.forward(this.#pooled(values, T, lengths));
  }

  /** [B, channels, T] → [B, channels]; nothing is below 0, and what lies beyond the lengths is 0. */
  #pooled(values: Tensor, T: number, lengths: Tensor | undefined): Tensor {
    if (this.config.pool === 'max') return max(values, 2);
    return div(sum(values, 2), lengths ? cast(unsqueeze(lengths, 1), 'f32') : T);
  }

  /** Mean cross-entropy in nats of targets [B], the classes (i32 or u32). */
  loss(x: Tensor, targets: Tensor, options?: ReadOptions): Tensor {
    const logits = this.forward(x, options);
    this.checkTargets(targets, logits.shape.slice(0, 1), '[B]');
    return crossEntropy(logits, targets);
  }
}
