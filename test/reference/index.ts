import type { Attributes } from '../../src/core/types.ts';
import { additiveAttention } from './additiveAttention.ts';
import { attention } from './attention.ts';
import { conv } from './conv.ts';
import { ctcLoss } from './ctcLoss.ts';
import { elementwise } from './elementwise.ts';
import { indexing } from './indexing.ts';
import { loss } from './loss.ts';
import { lstm } from './lstm.ts';
import { matmul } from './matmul.ts';
import { norm } from './norm.ts';
import { optimizer } from './optimizer.ts';
import { pool } from './pool.ts';
import { recurrent } from './recurrent.ts';
import { reduce } from './reduce.ts';
import type { Ref, Rule } from './ref.ts';
import { resample } from './resample.ts';
import { softmax } from './softmax.ts';
import { view } from './view.ts';

export { type Ref, ref } from './ref.ts';

/** Every op in float64, by name; what ends in `Backward` takes the inputs that its kernel takes. */
export const rules = {
  ...elementwise,
  ...view,
  ...matmul,
  ...conv,
  ...pool,
  ...resample,
  ...reduce,
  ...softmax,
  ...norm,
  ...loss,
  ...ctcLoss,
  ...additiveAttention,
  ...attention,
  ...lstm,
  ...recurrent,
  ...indexing,
  ...optimizer,
};

/** Computes an op by its name: outputs from inputs and attributes. */
export function evaluate(op: string, inputs: readonly Ref[], attributes: Attributes = {}): readonly Ref[] {
  const rule: Rule | undefined = Object.hasOwn(rules, op) ? rules[op as keyof typeof rules] : undefined;
  if (!rule) throw new Error(`the reference has no rule for '${op}'`);
  return rule(inputs as never, attributes as never);
}
