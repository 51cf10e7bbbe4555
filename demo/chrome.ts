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
  const crash = () => new JobError('Chrome crashed or was closed; run the job again, or leave out --browser');
  return withPage({ ownSignals: true, crash }, async (page, url) => {
    await answerCalls(page, host);
    await page.goto(`${url}demo/job.html`);
    const run: Promise<PageResult> = page.evaluate((given) => globalThis.weftJob.run(given), options);
    const interrupt = () => page.evaluate(() => globalThis.weftJob.interrupt());
    const result = await interruptible(run, () => host.interrupted, interrupt);
    if ('error' in result) throw new JobError(result.error);
    return result.summary;
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
