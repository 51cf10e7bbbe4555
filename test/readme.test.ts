import { expect, test } from 'vitest';
import readme from '../README.md?raw';
import { compile, crossEntropy, manualSeed, nn, optim, tensor } from '../src/index.ts';
import { announceReads, useGpu } from './support/gpu.ts';

useGpu();

/** The example of the README, run as it stands there: imports and `init` are the test's own, the loop's output is collected. */
test('the example in the README learns what comes next', async () => {
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] as string;
  const body = code
    .replace(/^import .*$/m, '')
    .replace('await init();', '')
    .replaceAll(': Tensor', '')
    .replace(/ as \[Tensor, Tensor\]/, '')
    .replace('console.log(', 'losses.push(');
  const names = { compile, crossEntropy, nn, optim, tensor };
  const losses: number[] = [];
  manualSeed(1);
  announceReads(50);
  const run = new Function('losses', ...Object.keys(names), `return (async () => { ${body} })();`) as (
    ...given: unknown[]
  ) => Promise<void>;
  await run(losses, ...Object.values(names));
  expect(losses.length).toBe(50);
  expect(losses[0]).toBeGreaterThan(1.5);
  // Each digit fixes the next, so that the loss can go to 0.
  expect(losses.at(-1)).toBeLessThan(0.1);
});
