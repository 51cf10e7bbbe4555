import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { launch } from 'puppeteer-core';
import { createServer } from 'vite';
import { chromeFlags, ensureBrowser, root } from '../tools/machine.mjs';
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
  const server = await createServer({
    // The peers are installed here, and found from here.
    root: join(root, 'bench'),
    configFile: join(root, 'vite.config.ts'),
    logLevel: 'error',
    clearScreen: false,
    // A file saved meanwhile must not reload the page.
    server: { host: '127.0.0.1', port: 0, hmr: false, watch: null, fs: { allow: [root] } },
    optimizeDeps: { noDiscovery: true, include: commonJs },
  });
  await server.listen();
  const { port } = (server.httpServer as Server).address() as AddressInfo;
  const browser = await launch({
    executablePath: await ensureBrowser(),
    args: chromeFlags,
    protocolTimeout: 0,
    handleSIGINT: false,
    handleSIGTERM: false,
  });
  try {
    const page = await browser.newPage();
    if (process.env.WEFT_DEBUG) page.on('console', (message) => host.message(`page: ${message.text()}`));
    page.on('pageerror', (error) => host.message(`page: ${error instanceof Error ? error.message : error}`));
    await page.exposeFunction('weftBenchEvent', (event: Event) => {
      if (event.kind === 'progress') host.progress(event.progress);
      else if (event.kind === 'rows') host.rows(event.rows);
      else host.message(event.text);
    });
    await page.goto(`http://127.0.0.1:${port}/index.html`);
    await page.waitForFunction(() => 'weftBench' in globalThis);
    const crashed = new Promise<never>((_, reject) => {
      const fail = () => reject(new Error('Chrome crashed or was closed'));
      page.on('error', fail);
      browser.on('disconnected', fail);
    });
    // Nobody waits for it where the browser is closed at the end.
    crashed.catch(() => {});
    const passOn = setInterval(() => {
      if (!host.stopped) return;
      clearInterval(passOn);
      page.evaluate(() => globalThis.weftBench.stop()).catch(() => {});
    }, 50);
    try {
      const { error } = await Promise.race([
        page.evaluate((given) => globalThis.weftBench.run(given), options),
        crashed,
      ]);
      if (error !== undefined) throw new Error(error);
    } finally {
      clearInterval(passOn);
    }
  } finally {
    await browser.close();
    await server.close();
  }
}
