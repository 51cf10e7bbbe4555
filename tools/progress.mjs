/** Tells how far runs of the suite are, while several of them write nothing else: a reporter of vitest, and what shows its news. */

import { relative } from 'node:path';

/**
 * What the reporter tells: how many files a run has, that one is over, and at once what has failed.
 * @typedef {{ files: number } | { done: string } | { failed: string, why: string }} News
 * @typedef {{ title: string, files: number, done: number, failed: number, seconds?: number }} Standing
 */

/** Begins a line of news among what other reporters write: the control character "record separator". */
const mark = '\x1e';

/** vitest's reporter: `--reporter=./tools/progress.mjs`. */
export default class Reporter {
  /** @param {readonly unknown[]} specifications */
  onTestRunStart(specifications) {
    tell({ files: specifications.length });
  }

  /** @param {import('vitest/node').TestCase} test */
  onTestCaseResult(test) {
    const { state, errors } = test.result();
    if (state === 'failed')
      tell({ failed: `${nameOf(test.module)} > ${test.fullName}`, why: errors?.[0]?.message ?? '' });
  }

  /** @param {import('vitest/node').TestModule} module */
  onTestModuleEnd(module) {
    for (const { message } of module.errors()) tell({ failed: nameOf(module), why: message });
    tell({ done: nameOf(module) });
  }
}

/** @param {import('vitest/node').TestModule} module */
const nameOf = ({ moduleId }) => relative('.', moduleId);

/** @param {News} news */
const tell = (news) => process.stdout.write(`${mark}${JSON.stringify(news)}\n`);

/**
 * Takes the news out of what a run writes, as it comes.
 * @param {(news: News) => void} hear
 * @returns {(chunk: string) => string} what else there is; the last line once it ends, or with an empty chunk
 */
export function newsFrom(hear) {
  let begun = '';
  return (chunk) => {
    const lines = (begun + chunk).split('\n');
    begun = chunk === '' ? '' : /** @type {string} */ (lines.pop());
    const others = lines.flatMap((line) => {
      const [before, news] = line.split(mark);
      if (news !== undefined) hear(JSON.parse(news));
      return news === undefined || before ? [before] : [];
    });
    return chunk === '' ? others.join('\n') : others.map((line) => `${line}\n`).join('');
  };
}

/**
 * One line for the runs that are under way.
 * @param {number} seconds since the first began
 * @param {readonly Standing[]} runs
 */
export function standing(seconds, runs) {
  const time = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
  return [
    time.padStart(5),
    ...runs.map(({ title, files, done, failed }) => `${title}: ${done} of ${files || '?'} files, ${failed} failed`),
  ].join('  ');
}

/**
 * Shows the runs that are under way: on a terminal in a line that is kept up to date, elsewhere in one every half minute.
 * Failures are shown at once.
 * @param {{ isTTY?: boolean, columns?: number, write: (text: string) => unknown }} [out]
 */
export function showProgress(out = process.stdout) {
  const start = performance.now();
  /** @type {Set<Standing>} */
  const runs = new Set();
  const line = () => standing((performance.now() - start) / 1000, [...runs]);
  const draw = () => out.write(`\r\x1b[2K${line().slice(0, (out.columns ?? 80) - 1)}`);
  const clear = () => out.isTTY && out.write('\r\x1b[2K');
  const timer = setInterval(out.isTTY ? draw : () => out.write(`${line()}\n`), out.isTTY ? 1000 : 30_000);
  return {
    /** @param {string} text */
    print(text) {
      clear();
      out.write(`${text}\n`);
    },
    /** @param {string} title */
    begin(title) {
      const run = { title, files: 0, done: 0, failed: 0 };
      runs.add(run);
      /** @param {News} news */
      const hear = (news) => {
        if ('files' in news) run.files = news.files;
        else if ('done' in news) run.done++;
        else {
          run.failed++;
          this.print(`✗ ${title}: ${news.failed}\n    ${news.why.split('\n', 1)}`);
        }
      };
      return { hear, end: () => runs.delete(run) };
    },
    end() {
      clearInterval(timer);
      clear();
    },
  };
}
