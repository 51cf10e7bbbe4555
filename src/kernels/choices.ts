import { UnsupportedError, ValueError } from '../core/errors.ts';
import { briefly, shown } from '../core/options.ts';
import { families } from './family.ts';
import type { Choices } from './kernel.ts';

/** All families of weft, loaded or not: whoever imports a part of weft loads some of them. */
const familyNames = [
  ...['matmul', 'conv', 'attentionForward', 'attentionBackward', 'additiveAttention', 'additiveAttentionBackward'],
  ...['recurrentForward', 'recurrentBackward', 'lstmCell', 'lstmCellBackward'],
  ...['norm', 'normBackward', 'softmax', 'softmaxBackward', 'crossEntropy', 'crossEntropyBackward', 'reduce', 'cumsum'],
  ...['ctcLoss', 'ctcLossBackward'],
  ...['embedding', 'embeddingBackward', 'gather', 'scatterAdd', 'sort', 'topK', 'categorical', 'sample'],
  ...['place', 'commit', 'adamw', 'sgd', 'ruled', 'gate', 'clipNorm', 'clipScale'],
  ...['maxPool', 'maxPoolBackward', 'resample'],
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
    const [name = ''] = key.split(' ', 1);
    if (!familyNames.includes(name))
      throw new UnsupportedError(
        `[choose] there is no family of kernels ${briefly(name)}; there are ${familyNames.join(', ')}`,
      );
    const family = families.get(name);
    if (family && !Object.hasOwn(family.variants, variant))
      throw new UnsupportedError(
        `[choose] ${name} has no variant ${typeof variant === 'string' ? briefly(variant) : shown(variant)}; it has ${Object.keys(family.variants).join(', ')}`,
      );
  }
  return choices;
}
