import { ShapeError, ValueError } from '../core/errors.ts';
import { count, declareOptions, type Kinds } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectDType, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Embedding } from '../nn/embedding.ts';
import { Module } from '../nn/module.ts';
import { cast, where } from '../ops/elementwise.ts';
import { checkedLengths, type Lengths, lengthsLike } from '../ops/lengths.ts';
import { sequenceMask } from '../ops/masks.ts';
import { permute } from '../ops/view.ts';

/** What the steps of a sequence are: ids of a vocabulary, or features. */
export interface StepsConfig {
  /** Tokens in the vocabulary, V, where sequences are ids [B, T]; goes with `embedding`. */
  vocabularySize?: number;
  /** Width of the token embedding. */
  embedding?: number;
  /** Features of a step, where sequences are numbers [B, T, features]; in place of `vocabularySize` and `embedding`. */
  features?: number;
}
export const stepsKinds: Kinds<StepsConfig> = { vocabularySize: count, embedding: count, features: count };

/** Options of a call of a model that reads sequences. */
export interface ReadOptions {
  /** How many of the T steps are each row's own, [B] of i32 or as many numbers from 1 to T; default all. Padding changes nothing. */
  lengths?: Lengths;
}
const readOptions = declareOptions<ReadOptions>({ lengths: lengthsLike });

/** A target that counts for nothing, as in PyTorch. */
const ignored = -100;

/** Targets [B, T] of which those past a row's length count for nothing. */
export const targetsWithin = (targets: Tensor, lengths: Tensor | undefined): Tensor =>
  lengths ? where(sequenceMask(lengths, targets.shape[1] as number), cast(targets, 'i32'), ignored) : targets;

/** Sequences as the layers of a model get them. */
export interface Steps {
  /** [T, B, I] */
  readonly x: Tensor;
  /** [B]; undefined where all rows have T steps. */
  readonly lengths: Tensor | undefined;
}

/** A model that reads sequences of ids or of features. */
export abstract class SequenceModel extends Module {
  /** Embedding of the tokens, [V, embedding], where sequences are ids. */
  readonly embedding?: Embedding;
  /** Numbers that stand for a step, I. */
  readonly inputSize: number;

  constructor({ vocabularySize, embedding, features }: StepsConfig) {
    super();
    const name = new.target.name;
    if (features !== undefined) {
      if (vocabularySize !== undefined || embedding !== undefined)
        throw new ValueError(
          `[${name}] got features for sequences of numbers, and ${vocabularySize === undefined ? 'embedding' : 'vocabularySize'} for sequences of ids: give one or the other`,
        );
      this.inputSize = features;
    } else {
      if (vocabularySize === undefined || embedding === undefined)
        throw new ValueError(
          `[${name}] needs vocabularySize and embedding for sequences of ids, or features for sequences of numbers`,
        );
      this.embedding = new Embedding(vocabularySize, embedding);
      this.inputSize = embedding;
    }
  }

  /** Ids [B, T] or features [B, T, I], time first. */
  protected read(x: Tensor, options: ReadOptions | undefined): Steps {
    const name = this.constructor.name;
    const { lengths } = readOptions(name, options);
    const { embedding, inputSize } = this;
    const what = embedding ? 'ids' : 'features';
    expectTensor(name, what, x);
    if (embedding ? x.rank !== 2 : x.rank !== 3 || x.shape[2] !== inputSize)
      throw new ShapeError(
        `[${name}] ${what} must be [B, T${embedding ? '' : `, ${inputSize}`}], got ${formatShape(x.shape)}`,
      );
    const [B, T] = x.shape as [number, number];
    return {
      // Turns ids rather than their embeddings, since that is cheaper.
      x: embedding ? embedding.forward(permute(x, [1, 0])) : permute(x, [1, 0, 2]),
      lengths: lengths === undefined ? undefined : checkedLengths(name, lengths, B, T),
    };
  }

  /** Throws unless targets are ids of this shape. */
  protected checkTargets(targets: Tensor, shape: readonly number[], letters: string): void {
    const name = this.constructor.name;
    expectDType(name, 'targets', targets, ['i32', 'u32']);
    if (!sameShape(targets.shape, shape))
      throw new ShapeError(
        `[${name}] targets must be ${letters} = ${formatShape(shape)}, got ${formatShape(targets.shape)}`,
      );
  }
}
