import { constant } from '../nn/init.ts';
import type { LSTM } from '../nn/recurrent.ts';
import { overwritten } from '../ops/packing.ts';

/**
 * Sets the bias of the forget gates, which lie second in the order i, f, g, o. Each gate adds two biases, of which one is
 * set.
 */
export function setForgetBias(lstm: LSTM, value: number): void {
  const { hiddenSize } = lstm;
  for (const [name, bias] of lstm.namedParameters())
    if (name.startsWith('bias_hh')) bias.assign(overwritten(bias, hiddenSize, constant([hiddenSize], value)));
}
