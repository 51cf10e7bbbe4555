/** What chrome.ts calls in the page. */

import { init } from '../../src/index.ts';
import { PageHost } from '../pageHost.ts';
import type { ExampleName } from './registry.ts';
import { type Result, type RunOptions, runExample } from './run.ts';

const host = new PageHost();

/** Runs an example in this page, and gives what it found, or what is wrong. */
export function run(name: ExampleName, options: RunOptions): Promise<{ result: Result } | { error: string }> {
  return host.outcome(async () => {
    const { adapter } = await init();
    host.print(`Adapter      ${adapter}, ${host.runtime}`);
    return runExample(name, options, host);
  });
}
