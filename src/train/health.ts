import { DivergenceError } from '../errors.ts';

/** The error of the first step whose loss is no finite number; null where all are. `first` is the step of the first loss. */
export function checkHealth(losses: readonly number[], first: number): DivergenceError | null {
  const odd = losses.findIndex((loss) => !Number.isFinite(loss));
  if (odd < 0) return null;
  const [step, loss] = [first + odd, losses[odd] as number];
  return new DivergenceError(
    `[train] the loss of step ${step} is ${loss}: training has gone astray, and its weights are lost; go on from the last checkpoint with a lower learning rate, clip the gradients, or look for the first bad value with compile(step, { checkFinite: true })`,
    { step, loss },
  );
}
