/** `npm run host`: what weft costs the processor that it runs on, in Deno or in headless Chrome. */

import process from 'node:process';
import { complain, say } from '../../demo/console.ts';
import { runProgram } from '../../tools/commandLine.mjs';
import { callExport, withPage } from '../../tools/page.mjs';
import { type HostCost, hostCosts } from './costs.ts';

const usage = `npm run host [-- --deno] [-- --json]

Milliseconds of JavaScript, the browser's or runtime's own share of WebGPU included: the first step of a small GPT from
its model to its loss, replaying a compiled step of 12 layers (beside the same WebGPU calls made by hand), recording 500
nodes and finding their plan. In headless Chrome; --deno: in Deno. --json: the last line is a JSON array of the rows.`;

await runProgram(
  {
    ...{ command: 'npm run host', usage, say, complain },
    options: { deno: { type: 'boolean' }, json: { type: 'boolean' } },
  },
  async ({ deno, json }) => {
    const rows = await (deno ? hostCosts() : inChrome());
    print(rows);
    if (json) say(JSON.stringify(rows));
  },
);
process.exit();

async function inChrome(): Promise<HostCost[]> {
  // Without them Chrome rounds its clock to 0.1 ms.
  const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
  return withPage({ config: { server: { headers } } }, async (page, url) => {
    await page.goto(`${url}demo/job.html`);
    return callExport(page, '/bench/host/costs.ts', 'hostCosts');
  });
}

function print(rows: readonly HostCost[]): void {
  say(['', 'median', 'p10', 'p90 ms'].map((name, i) => (i ? name.padStart(10) : name.padEnd(18))).join(''));
  for (const { what, medianMs, p10Ms, p90Ms, note } of rows) {
    const numbers = [medianMs, p10Ms, p90Ms].map((ms) => ms.toFixed(2).padStart(10)).join('');
    say(`${what.padEnd(18)}${numbers}  ${note}`);
  }
}
