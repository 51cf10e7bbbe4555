import { callExport } from '../../tools/page.mjs';
import { withHost } from '../chrome.ts';
import type { DenoHost } from '../deno.ts';
import type { ExampleName } from './registry.ts';
import type { Result, RunOptions } from './run.ts';

/** Runs an example in a page of headless Chrome; what it prints and writes comes back to `host`. */
export function runInChrome(name: ExampleName, options: RunOptions, host: DenoHost): Promise<Result> {
  // These need bundling, since they are CommonJS, or a part of them is.
  const config = { optimizeDeps: { include: ['@observablehq/plot', 'midi-writer-js'] } };
  return withHost(host, { config }, (page) => callExport(page, '/demo/frame/page.ts', 'run', name, options));
}
