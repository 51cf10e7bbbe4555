import { ShapeError, ValueError } from '../core/errors.ts';
import { expectIds } from './ids.ts';

/**
 * The loss of a bigram count model on `validation`, in nats per token: what a language model must beat to be said to
 * have learned more than which token follows which. Pairs are counted in `train`, and one is added to each count (Laplace),
 * so that p(b | a) = (count(a, b) + 1) / (count(a) + V).
 */
export function bigramLoss(train: Int32Array, validation: Int32Array, vocabularySize: number): number {
  const V = vocabularySize;
  for (const [name, data] of Object.entries({ train, validation })) {
    expectIds('bigramLoss', data);
    if (data.length < 2) throw new ShapeError(`[bigramLoss] ${name} has ${data.length} tokens: a pair needs two`);
    const outside = data.find((id) => id < 0 || id >= V);
    if (outside !== undefined)
      throw new ValueError(`[bigramLoss] ${name} has id ${outside}, outside a vocabulary of ${V}`);
  }
  const pairs = new Map<number, number>();
  const firsts = new Float64Array(V);
  eachPair(train, (a, b) => {
    pairs.set(a * V + b, (pairs.get(a * V + b) ?? 0) + 1);
    firsts[a] = (firsts[a] as number) + 1;
  });
  let loss = 0;
  eachPair(validation, (a, b) => {
    loss -= Math.log(((pairs.get(a * V + b) ?? 0) + 1) / ((firsts[a] as number) + V));
  });
  return loss / (validation.length - 1);
}

function eachPair(data: Int32Array, use: (a: number, b: number) => void): void {
  for (let i = 1; i < data.length; i++) use(data[i - 1] as number, data[i] as number);
}
