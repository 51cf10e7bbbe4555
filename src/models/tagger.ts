import { declareOptions } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { linearCrossEntropy } from '../ops/linearCrossEntropy.ts';
import { permute } from '../ops/view.ts';
import { RecurrentReader, type RecurrentReaderConfig, readerKinds, readerNeeds } from './reader.ts';
import { type ReadOptions, targetsWithin } from './sequence.ts';

const taggerConfig = declareOptions<RecurrentReaderConfig>(readerKinds, readerNeeds);

/**
 * Gives each step of a sequence a class, many-to-many: a recurrence with a linear head on the state of each step. What comes
 * after a step is known to it only where the model is bidirectional.
 */
export class SequenceTagger extends RecurrentReader {
  constructor(config: RecurrentReaderConfig) {
    super(taggerConfig('SequenceTagger', config));
  }

  /**
   * Ids [B, T] or features [B, T, I] → logits [B, T, C]; those past a row's length mean nothing. Throws a ShapeError where x
   * is of another shape, a ValueError where lengths are not from 1 to T.
   */
  forward(x: Tensor, options?: ReadOptions): Tensor {
    const { output } = this.recur(x, options); // [T, B, directions·H]
    return permute(this.head.forward(this.dropout.forward(output)), [1, 0, 2]);
  }

  /**
   * Mean cross-entropy in nats of targets [B, T], the classes (i32 or u32), over the steps within the lengths. A target of -100
   * counts for nothing, too.
   */
  loss(x: Tensor, targets: Tensor, options?: ReadOptions): Tensor {
    const { output, lengths } = this.recur(x, options); // [T, B, directions·H]
    const [B, T] = x.shape as [number, number];
    this.checkTargets(targets, [B, T], '[B, T]');
    const own = targetsWithin(targets, lengths);
    const { weight, bias } = this.head;
    // Turns the targets, since that is cheaper than turning the outputs and the mean is the same in any order.
    return linearCrossEntropy(this.dropout.forward(output), weight, permute(own, [1, 0]), { bias });
  }
}
