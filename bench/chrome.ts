import { join } from 'node:path';
import process from 'node:process';
import { root } from '../tools/machine.mjs';
import { interruptible, withPage } from '../tools/page.mjs';
import type { Host, Options } from './bench.ts';
import type { Event } from './page/page.ts';

/** Peers that need bundling, since they import CommonJS modules. */
const commonJs = [
  '@tensorflow/tfjs-core',
  '@tensorflow/tfjs-core/dist/register_all_gradients',
  '@tensorflow/tfjs-backend-webgpu',
  'onnx-proto',
];

/** Runs the benchmark in its page in headless Chrome; what it finds comes back to `host`. */
export async function runInChrome(options: Options, host: Host): Promise<void> {
  const config = {
    // The peers are installed here, and found from here.
    root: join(root, 'bench'),
    server: { fs: { allow: [root] } },
    optimizeDeps: { include: commonJs },
  };
  await withPage({ config, ownSignals: true }, async (page, url) => {
    if (process.env.WEFT_DEBUG) page.on('console', (message) => host.message(`page: ${message.text()}`));
    page.on('pageerror', (error) => host.message(`page: ${error instanceof Error ? error.message : error}`));
    await page.exposeFunction('weftBenchEvent', (event: Event) => {
      if (event.kind === 'progress') host.progress(event.progress);
      else if (event.kind === 'rows') host.rows(event.rows);
      else host.message(event.text);
    });
    await page.goto(`${url}index.html`);
    await page.waitForFunction(() => 'weftBench' in globalThis);
    const run = page.evaluate((given) => globalThis.weftBench.run(given), options);
    const stop = () => page.evaluate(() => globalThis.weftBench.stop());
    const { error } = await interruptible(run, () => host.stopped, stop);
    if (error !== undefined) throw new Error(error);
  });
}
