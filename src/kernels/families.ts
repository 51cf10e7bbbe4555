import { UnsupportedError, ValueError } from '../core/errors.ts';
import { briefly, shown } from '../core/options.ts';
import { attentionBackward, attentionForward } from './attention.ts';
import { clipNorm, clipScale } from './clip.ts';
import { commitFamily, copyFamily } from './copy.ts';
import { crossEntropy, crossEntropyBackward } from './crossEntropy.ts';
import { cumsum } from './cumulative.ts';
import { embedding, embeddingBackward } from './embedding.ts';
import { gather, scatterAdd } from './index.ts';
import type { Choices, Family } from './kernel.ts';
import { lstmBackward, lstmCell, lstmCellBackward, lstmForward } from './lstm.ts';
import { matmul } from './matmul.ts';
import { norm, normBackward } from './norm.ts';
import { adamw, gate, sgd } from './optimizer.ts';
import { reduce } from './reduce.ts';
import { categorical, sample, topK } from './select.ts';
import { softmax, softmaxBackward } from './softmax.ts';

/** All families of kernels. */
export const families: readonly Pick<Family<never>, 'name' | 'variants'>[] = [
  ...[matmul, attentionForward, attentionBackward, lstmForward, lstmBackward, lstmCell, lstmCellBackward],
  ...[norm, normBackward, softmax, softmaxBackward, crossEntropy, crossEntropyBackward, reduce, cumsum],
  ...[embedding, embeddingBackward, gather, scatterAdd, topK, categorical, sample, copyFamily, commitFamily],
  ...[adamw, sgd, gate, clipNorm, clipScale],
];

/**
 * Throws UnsupportedError where a choice names a family that is not there, or a variant that its family has not;
 * ValueError where there are no choices in it.
 */
export function checkChoices(choices: Choices): Choices {
  if (typeof choices !== 'object' || choices === null || Array.isArray(choices))
    throw new ValueError(
      `[choose] choices must be an object of variants by family, like { matmul: 'tiled64' }, got ${shown(choices)}`,
    );
  for (const [key, variant] of Object.entries(choices)) {
    const name = key.split(' ', 1)[0];
    const family = families.find((each) => each.name === name);
    if (!family)
      throw new UnsupportedError(
        `[choose] there is no family of kernels ${briefly(name as string)}; there are ${families.map((each) => each.name).join(', ')}`,
      );
    if (!Object.hasOwn(family.variants, variant))
      throw new UnsupportedError(
        `[choose] ${name} has no variant ${typeof variant === 'string' ? briefly(variant) : shown(variant)}; it has ${Object.keys(family.variants).join(', ')}`,
      );
  }
  return choices;
}
