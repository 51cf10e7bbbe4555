/** `npm run host`: what weft costs the processor that it runs on, in Deno or in headless Chrome. */

import process from 'node:process';
import { parseArgs } from 'node:util';
import { complain, say } from '../../demo/console.ts';
import { callExport, withPage } from '../../tools/page.mjs';
import { type HostCost, hostCosts } from './costs.ts';

const usage = `npm run host [-- --deno] [-- --json]

Milliseconds of JavaScript, the browser's or runtime's own share of WebGPU included: the first step of a small GPT from
its model to its loss, replaying a compiled step of 12 layers (beside the same WebGPU calls made by hand), recording 500
nodes and finding their plan. In headless Chrome; --deno: in Deno. --json: the last line is a JSON array of the rows.`;

try {
  const { values } = parseArgs({
    options: { deno: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) say(usage);
  else {
    const rows = await (values.deno ? hostCosts() : inChrome());
    print(rows);
    if (values.json) say(JSON.stringify(rows));
  }
} catch (error) {
  complain(`weft: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
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
