import { ShapeError } from '../core/errors.ts';
import { declareOptions, flag, tensorLike } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import type { Parameter } from '../graph/parameter.ts';
import { expectRank, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type Alignment, additiveAttention } from '../ops/additiveAttention.ts';
import { parameter } from '../ops/create.ts';
import { type Lengths, lengthsLike } from '../ops/lengths.ts';
import { squeeze, unsqueeze } from '../ops/view.ts';
import { uniform } from './init.ts';
import { Linear } from './linear.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Options of `AdditiveAttention`. */
export interface AdditiveAttentionOptions {
  /** Whether the keys' projection has a bias, which one sum needs once; default false. */
  bias?: boolean;
}
const moduleOptions = declareOptions<AdditiveAttentionOptions>({ bias: flag });

/** What a call of `AdditiveAttention` may know beside queries and source. */
export interface AdditiveAttentionCall {
  /** How many positions of each source there are, 1 to S: [B]. */
  lengths?: Lengths;
  /** What `project` has made of the source, so that many calls share it: [B, S, A]. */
  keys?: Tensor;
}
const callOptions = declareOptions<AdditiveAttentionCall>({ lengths: lengthsLike, keys: tensorLike });

/**
 * Additive attention (Bahdanau, Cho, Bengio 2015): e = vᵀ tanh(W·s + U·h) for a query s and each position h of a source, softmax
 * over the positions, and their sum by those weights. All parameters start uniform within ±1/√ of what they sum over.
 */
export class AdditiveAttention extends Module {
  /** W: querySize → A, without a bias. */
  readonly query: Linear;
  /** U: sourceSize → A. */
  readonly key: Linear;
  /** v, [A]. */
  readonly v: Parameter;

  constructor(querySize: number, sourceSize: number, size: number, options?: AdditiveAttentionOptions) {
    super();
    const { bias = false } = moduleOptions('AdditiveAttention', options);
    checkSizes('AdditiveAttention', { querySize, sourceSize, size });
    this.query = new Linear(querySize, size, { bias: false });
    this.key = new Linear(sourceSize, size, { bias });
    const bound = 1 / Math.sqrt(size);
    this.v = parameter(uniform([size], { low: -bound, high: bound }), 'v');
  }

  /** The keys U·h of a source [B, S, sourceSize], which don't depend on the query: [B, S, A]. */
  project(source: Tensor): Tensor {
    expectTensor('AdditiveAttention', 'the source', source);
    expectRank('AdditiveAttention', 'the source', source, 3);
    return this.key.forward(source);
  }

  /**
   * Queries [B, Q, querySize] and a source [B, S, sourceSize] → context [B, Q, sourceSize] and weights [B, Q, S]; of one query
   * for each row, [B, querySize], also without Q. Throws a ShapeError where they don't fit, a ValueError for lengths outside [1, S].
   */
  forward(queries: Tensor, source: Tensor, options?: AdditiveAttentionCall): Alignment {
    const { lengths, keys } = callOptions('AdditiveAttention.forward', options);
    expectTensor('AdditiveAttention', 'the queries', queries);
    if (queries.rank !== 2 && queries.rank !== 3)
      throw new ShapeError(
        `[AdditiveAttention] queries must be [B, Q, ${this.query.weight.shape[1]}], or [B, ${this.query.weight.shape[1]}] for one each, got ${formatShape(queries.shape)}`,
      );
    const single = queries.rank === 2;
    const { context, weights } = additiveAttention(
      this.query.forward(single ? unsqueeze(queries, 1) : queries),
      keys ?? this.project(source),
      source,
      this.v,
      lengths === undefined ? {} : { lengths },
    );
    return single ? { context: squeeze(context, 1), weights: squeeze(weights, 1) } : { context, weights };
  }
}
