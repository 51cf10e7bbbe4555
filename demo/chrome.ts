import type { Page } from 'puppeteer';
import { interruptible, withPage } from '../tools/page.mjs';
import type { PageResult } from './browser.ts';
import type { LossCurve } from './chart.ts';
import type { DenoHost } from './deno.ts';
import { JobError, type Progress } from './host.ts';
import type { Options } from './options.ts';
import type { SampleSummary, Summary } from './report.ts';

/** Runs the job in a page of headless Chrome; what it prints and writes comes back to `host`. */
export async function runInChrome(options: Options, host: DenoHost): Promise<Summary | SampleSummary> {
  return withHost(host, { ownSignals: true }, async (page) => {
    const run: Promise<PageResult> = page.evaluate((given) => globalThis.weftJob.run(given), options);
    const interrupt = () => page.evaluate(() => globalThis.weftJob.interrupt());
    return interruptible(run, () => host.interrupted, interrupt);
  });
}

/** Opens the page of the job in headless Chrome, for what runs there with a `PageHost`. Throws JobError where that fails. */
export function withHost<Result>(
  host: DenoHost,
  options: Omit<Parameters<typeof withPage>[0], 'crash'>,
  use: (page: Page) => Promise<{ result: Result } | { error: string }>,
): Promise<Result> {
  const crash = () => new JobError('Chrome crashed or was closed; run it again, or leave out --browser');
  return withPage({ ...options, crash }, async (page, url) => {
    await answerCalls(page, host);
    await page.goto(`${url}demo/job.html`);
    const outcome = await use(page);
    if ('error' in outcome) throw new JobError(outcome.error);
    return outcome.result;
  });
}

/** Gives the page one function that calls the host's methods. */
async function answerCalls(page: Page, host: DenoHost): Promise<void> {
  const answer = {
    print: (text: string) => host.print(text),
    progress: (progress: Progress) => host.progress(progress),
    readFile: async (path: string) => Buffer.from(await host.readFile(path)).toString('base64'),
    tryFolder: (folder: string) => host.tryFolder(folder),
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
