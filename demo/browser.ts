/** The page that chrome.ts opens: runs the job and hands everything else back to the command line. */

import { runJob } from './job.ts';
import type { Options } from './options.ts';
import { PageHost } from './pageHost.ts';
import type { SampleSummary, Summary } from './report.ts';

export type PageResult = { result: Summary | SampleSummary } | { error: string };

const host = new PageHost();

declare global {
  /** What chrome.ts calls. */
  var weftJob: { run(options: Options): Promise<PageResult>; interrupt(): void };
}
globalThis.weftJob = {
  run: (options) => host.outcome(() => runJob(options, host)),
  interrupt() {
    host.interrupted = true;
  },
};
