import type { AddressInfo, Server } from 'node:net';
import { launch, type Page } from 'puppeteer-core';
import { createServer } from 'vite';
import { chromeFlags, ensureBrowser, root } from '../tools/machine.mjs';
import type { PageResult } from './browser.ts';
import type { LossCurve } from './chart.ts';
import type { DenoHost } from './deno.ts';
import { JobError, type Progress } from './host.ts';
import type { Options } from './options.ts';
import type { SampleSummary, Summary } from './report.ts';

/** Runs the job in a page of headless Chrome; what it prints and writes comes back to `host`. */
export async function runInChrome(options: Options, host: DenoHost): Promise<Summary | SampleSummary> {
  const server = await createServer({
    root,
    logLevel: 'error',
    clearScreen: false,
    // A file saved meanwhile must not reload the page.
    server: { host: '127.0.0.1', port: 0, hmr: false, watch: null },
    optimizeDeps: { noDiscovery: true, include: [] },
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
    await answerCalls(page, host);
    await page.goto(`http://127.0.0.1:${port}/demo/job.html`);
    const crashed = new Promise<never>((_, reject) => {
      const fail = () =>
        reject(new JobError('Chrome crashed or was closed; run the job again, or leave out --browser'));
      page.on('error', fail);
      browser.on('disconnected', fail);
    });
    // Nobody waits for it where the browser is closed at the end of the job.
    crashed.catch(() => {});
    const passOn = setInterval(() => {
      if (!host.interrupted) return;
      clearInterval(passOn);
      page.evaluate(() => globalThis.weftJob.interrupt()).catch(() => {});
    }, 50);
    try {
      const run = page.evaluate((given) => globalThis.weftJob.run(given), options) as Promise<PageResult>;
      const result = await Promise.race([run, crashed]);
      if ('error' in result) throw new JobError(result.error);
      return result.summary;
    } finally {
      clearInterval(passOn);
    }
  } finally {
    await browser.close();
    await server.close();
  }
}

/** Gives the page one function that calls the host's methods. */
async function answerCalls(page: Page, host: DenoHost): Promise<void> {
  const answer = {
    print: (text: string) => host.print(text),
    progress: (progress: Progress) => host.progress(progress),
    readFile: async (path: string) => Buffer.from(await host.readFile(path)).toString('base64'),
    writeFile: (folder: string, name: string, base64: string) =>
      host.writeFile(folder, name, Buffer.from(base64, 'base64')),
    showCurve: (folder: string, name: string, curve: LossCurve) => host.showCurve(folder, name, curve),
  };
  await page.exposeFunction('weftHost', async (method: keyof typeof answer, args: never[]) => {
    try {
      return { value: await (answer[method] as (...args: never[]) => unknown)(...args) };
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  });
}
