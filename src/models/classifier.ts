import { nth } from '../core/lists.ts';
import { declareOptions } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { crossEntropy } from '../ops/crossEntropy.ts';
import { concat } from '../ops/join.ts';
import { at } from '../ops/slice.ts';
import { RecurrentReader, type RecurrentReaderConfig, readerKinds, readerNeeds } from './reader.ts';
import type { ReadOptions } from './sequence.ts';

const classifierConfig = declareOptions<RecurrentReaderConfig>(readerKinds, readerNeeds);

/**
 * Tells the class of a sequence, many-to-one: a recurrence reads it, and a linear head looks at the state at its end. Where it
 * is bidirectional the head also has the state of the other direction, at the start.
 */
export class SequenceClassifier extends RecurrentReader {
  constructor(config: RecurrentReaderConfig) {
    super(classifierConfig('SequenceClassifier', config));
  }

  /**
   * Ids [B, T] or features [B, T, I] → logits [B, C], of the state at each row's own length. Throws a ShapeError where x is of
   * another shape, a ValueError where lengths are not from 1 to T.
   */
  forward(x: Tensor, options?: ReadOptions): Tensor {
    const { last } = this.recur(x, options); // [layers·directions, B, H]
    const { directions } = this;
    const ends = Array.from({ length: directions }, (_, d) => at(last, nth(last.shape, 0) - directions + d)); // [B, H]
    return this.head.forward(this.dropout.forward(concat(ends, 1)));
  }

  /** Mean cross-entropy in nats of targets [B], the classes (i32 or u32). */
  loss(x: Tensor, targets: Tensor, options?: ReadOptions): Tensor {
    const logits = this.forward(x, options);
    this.checkTargets(targets, logits.shape.slice(0, 1), '[B]');
    return crossEntropy(logits, targets);
  }
}
