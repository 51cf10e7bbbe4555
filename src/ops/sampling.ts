import { ValueError } from '../errors.ts';
import type { TensorType } from '../graph/node.ts';
import type { OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectRank } from '../graph/record.ts';
import { sizeOf } from '../graph/shape.ts';
import { familyCall } from '../kernels/family.ts';
import { categorical as family } from '../kernels/select.ts';
import type { Tensor } from '../tensor.ts';
import { mul, where } from './elementwise.ts';
import { cumsum, gather, topK } from './indexing.ts';
import { nextRandom } from './random.ts';
import { softmax } from './softmax.ts';

const categoricalOp: OpDef = {
  name: 'categorical',
  infer: ([logits]) => [{ shape: (logits as TensorType).shape.slice(0, -1), dtype: 'i32' }],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [logits], attributes }) => {
      const { shape } = logits as Tensor;
      return familyCall(family, {
        rows: sizeOf(shape.slice(0, -1)),
        n: shape.at(-1) as number,
        stream: attributes.stream as number,
      });
    },
  },
};

/** One index per row, drawn on the GPU from softmax(logits) [..., V] → i32 [...]; entries ≤ −1e30 are never drawn. */
export function categorical(logits: Tensor): Tensor {
  expectDType('categorical', 'logits', logits, ['f32']);
  expectRank('categorical', 'logits', logits, 1, Infinity);
  const { key, stream } = nextRandom();
  return applyOne(categoricalOp, [logits, key], { stream });
}

export interface SampleOptions {
  /** Divides the logits; below 1 sharpens. 0 takes the best. */
  temperature?: number;
  /** Keeps the k best. */
  topK?: number;
  /** Keeps the least set of best tokens whose probabilities reach p (Holtzman et al. 2020). */
  topP?: number;
}

/** The next token of each row of logits [..., V] → i32 [...], drawn on the GPU. */
export function sample(logits: Tensor, { temperature = 1, topK: k, topP }: SampleOptions = {}): Tensor {
  if (!(temperature >= 0) || !Number.isFinite(temperature))
    throw new ValueError(`[sample] temperature must be a finite number of at least 0, got ${temperature}`);
  if (topP !== undefined && !(topP > 0 && topP <= 1))
    throw new ValueError(`[sample] topP must be in (0, 1], got ${topP}`);
  if (temperature === 0) return logits.argMax(-1);
  const V = logits.shape.at(-1) as number;
  const scaled = mul(logits, 1 / temperature);
  if (topP !== undefined && topP < 1) return nucleus(scaled, topP, Math.min(k ?? V, V, 1024));
  if (k === undefined || k >= V) return categorical(scaled);
  const { values, indices } = topK(scaled, k);
  return pick(indices, categorical(values));
}

function nucleus(scaled: Tensor, topP: number, k: number): Tensor {
  const { values, indices } = topK(scaled, k);
  const probabilities = softmax(values, -1);
  // A token stays while those before it have not reached p; so the first always stays.
  const before = cumsum(probabilities, -1).sub(probabilities);
  return pick(indices, categorical(where(before.less(topP), values, -1e30)));
}

function pick(indices: Tensor, chosen: Tensor): Tensor {
  return gather(indices, chosen.unsqueeze(-1), -1).squeeze([-1]);
}

/** For the registry. */
export const samplingOps = { categorical: categoricalOp } satisfies Readonly<Record<string, OpDef>>;
