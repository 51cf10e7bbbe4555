/** `npm test`: runs the suite in headless Chromium and in Deno, each with both kernel selection profiles. */

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { runnerImport } from 'vite';
import { installHelp, takeInstallOptions } from './install.mjs';
import { denoEnvironment, denoFlags, ensureBrowser, ensureVulkan, findDeno, root } from './machine.mjs';
import { newsFrom, showProgress } from './progress.mjs';
import { isSkipped, unlistedSkips, unmatchedEntries } from './skips.mjs';

/**
 * @typedef {{ fullName: string, status: string }} TestResult
 * @typedef {{ testResults: { name: string, status: string, message: string, assertionResults: TestResult[] }[] }} JsonReport
 * @typedef {{ runtime: string, profile: string, seconds: number, tests: TestResult[], problems: string[] }} Run
 */

const usage = `Usage: npm test -- [options] [path filter ...]

  --runtime chromium|deno       only this WebGPU stack
  --profile gpu|software        only the kernels of a GPU, or those for drivers
                                that compute on the CPU
  -t, --testNamePattern REGEXP  only tests whose full name matches
  --fuzz N | A-B                only random graphs: N of them, or numbers A to B
  --soak                        attacks files and processes for longer: more broken
                                files, more kills
${installHelp(32)}
  --help                        this text

Examples:
  npm test -- --runtime deno test/ops/matmul.test.ts
  npm test -- --runtime chromium --profile gpu -t 'layer norm'
  npm test -- --runtime deno --fuzz 2000

WEFT_SEED=n draws the inputs of an earlier run again, CHROME_PATH names a
browser, WEFT_CHROME_FLAGS adds flags to it.`;

/** A run that takes longer than this hangs. */
const limitMinutes = 60;

/** The halves of a whole run, and what tells vitest of them. They share no pipelines, so nothing is compiled twice. */
const halves = [
  { half: 'all but kernels', which: ['--exclude=test/kernels/**'] },
  { half: 'kernels', which: ['test/kernels/'] },
];

const { values: options, positionals: filters } = readArguments();

if (options.help) console.log(usage);
else {
  try {
    await main();
  } catch (error) {
    console.error(`weft: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}

function readArguments() {
  try {
    return parseArgs({
      args: takeInstallOptions(process.argv.slice(2)),
      allowPositionals: true,
      options: {
        runtime: { type: 'string' },
        profile: { type: 'string' },
        testNamePattern: { type: 'string', short: 't' },
        fuzz: { type: 'string' },
        soak: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

async function main() {
  const runtimes = choose('--runtime', options.runtime, ['chromium', 'deno']);
  const profiles = choose('--profile', options.profile, ['gpu', 'software']);
  if (options.fuzz !== undefined) fuzz(options.fuzz);
  if (options.soak) process.env.WEFT_SOAK = '1';
  if (runtimes.includes('chromium')) process.env.CHROME_PATH = await ensureBrowser();
  if (runtimes.includes('deno')) await ensureVulkan();

  // One seed for all runs, so that they draw the same inputs.
  process.env.WEFT_SEED ??= String(Math.floor(Math.random() * 2 ** 32));
  console.log(`Inputs are drawn from WEFT_SEED=${process.env.WEFT_SEED}`);

  const isWhole = filters.length === 0 && options.testNamePattern === undefined;
  const parts = isWhole ? halves : [{ half: '', which: filters }];
  const waiting = runtimes.flatMap((runtime) =>
    profiles.flatMap((profile) => parts.map((part) => ({ runtime, profile, ...part }))),
  );
  const progress = waiting.length > 1 ? showProgress() : undefined;
  /** @type {Run[]} */
  const done = [];
  // Two at once, from either end: a browser compiles with all processors, and Deno fills the time that it leaves them.
  const work = async (/** @type {() => (typeof waiting)[number] | undefined} */ take) => {
    for (let next = take(); next; next = take()) done.push(await runSuite(next, progress));
  };
  await Promise.all([work(() => waiting.shift()), work(() => waiting.pop())]);
  progress?.end();
  const runs = whole(done);
  await checkSkips(runs);
  report(runs);
}

/**
 * Runs random graphs in place of the suite, where nothing else is asked for.
 * @param {string} graphs
 */
function fuzz(graphs) {
  if (!/^\d+(-\d+)?$/.test(graphs))
    refuse(`--fuzz takes a number of graphs or their numbers, as 2000 or 40-54, not ${graphs}`);
  process.env.WEFT_FUZZ = graphs;
  if (filters.length === 0) filters.push('test/ops/graphs.test.ts');
}

/**
 * Puts the halves of runs together.
 * @param {readonly Run[]} parts
 * @returns {Run[]}
 */
function whole(parts) {
  /** @type {Map<string, Run>} */
  const runs = new Map();
  for (const part of parts) {
    const title = `${part.runtime} ${part.profile}`;
    const { seconds, tests, problems } = runs.get(title) ?? { seconds: 0, tests: [], problems: [] };
    runs.set(title, {
      ...part,
      seconds: seconds + part.seconds,
      tests: [...tests, ...part.tests],
      problems: [...problems, ...part.problems],
    });
  }
  return [...runs.values()];
}

/**
 * One vitest process: on Node, which drives Chromium, or on Deno, which runs the tests itself.
 * @param {{ runtime: string, profile: string, half: string, which: readonly string[] }} part
 * @param {ReturnType<typeof showProgress>} [progress] what tells of it in place of its own output, since another one is writing
 * @returns {Promise<Run>}
 */
async function runSuite({ runtime, profile, half, which }, progress) {
  const title = [runtime, profile, half].filter(Boolean).join(' ');
  const folder = mkdtempSync(join(tmpdir(), 'weft-test-'));
  const reportFile = join(folder, 'report.json');
  const [command, flags] = runtime === 'deno' ? [await findDeno(), ['run', ...denoFlags]] : [process.execPath, []];
  // Another run may have the tests that are asked for: test/runs.ts.
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--passWithNoTests', ...which];
  const reporters = [
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${reportFile}`,
    '--silent=passed-only',
    ...(progress ? ['--reporter=./tools/progress.mjs'] : []),
  ];
  const pattern = options.testNamePattern === undefined ? [] : ['-t', options.testNamePattern];

  if (!progress) console.log(`\n── ${title}`);
  const start = performance.now();
  const standing = progress?.begin(title);
  const { code, output } = await execute(command, [...flags, ...vitest, ...reporters, ...pattern], {
    hear: standing?.hear,
    env: {
      ...(runtime === 'deno' ? denoEnvironment : {}),
      // What has been set here, too: the seed.
      ...process.env,
      ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}),
      WEFT_PROFILE: profile,
      // Another process keeps its own.
      WEFT_CACHE: title.replaceAll(' ', '-'),
    },
  });
  const seconds = (performance.now() - start) / 1000;
  standing?.end();

  const { tests, problems } = readReport(reportFile);
  rmSync(folder, { recursive: true });
  const failed = problems.length > 0 || tests.some((test) => test.status === 'failed');
  if (code !== 0 && !failed) problems.push(`vitest ended with ${code}: see the output of this run`);
  if (options.testNamePattern === undefined && tests.length > 0 && tests.every(isSkipped))
    problems.push('not a single test was run');
  progress?.print(
    `\n── ${title}\n${code === 0 ? '' : output}${summary({ runtime, profile, seconds, tests, problems })}`,
  );
  return { runtime, profile, seconds, tests, problems };
}

/**
 * @param {string} command
 * @param {string[]} parameters
 * @param {{ hear?: Parameters<typeof newsFrom>[0], env: NodeJS.ProcessEnv }} settings `hear` is told the news, and the
 * output held back; else it goes where this process writes
 * @returns {Promise<{ code: number | string, output: string }>}
 */
function execute(command, parameters, { hear, env }) {
  return new Promise((resolve) => {
    const stream = hear ? 'pipe' : 'inherit';
    const child = spawn(command, parameters, {
      cwd: root,
      env,
      stdio: ['ignore', stream, stream],
      timeout: limitMinutes * 60_000,
    });
    let output = '';
    const collect = (/** @type {string} */ text) => {
      output += text;
    };
    const others = newsFrom(hear ?? (() => {}));
    child.stdout?.setEncoding('utf8').on('data', (text) => collect(others(text)));
    child.stderr?.setEncoding('utf8').on('data', collect);
    child.on('error', (error) => resolve({ code: error.message, output }));
    child.on('close', (code, signal) => {
      collect(others(''));
      resolve({ code: code ?? signal ?? 'no exit code', output });
    });
  });
}

/**
 * The tests of a run by vitest's JSON report, and the files that could not be run.
 * @param {string} file
 * @returns {{ tests: TestResult[], problems: string[] }}
 */
function readReport(file) {
  try {
    const { testResults } = /** @type {JsonReport} */ (JSON.parse(readFileSync(file, 'utf8')));
    const tests = testResults.flatMap((result) => result.assertionResults);
    const problems = testResults
      .filter(
        (result) => result.status === 'failed' && !result.assertionResults.some((test) => test.status === 'failed'),
      )
      .map((result) => `${relative(root, result.name)}: ${result.message || 'failed outside of its tests'}`);
    return { tests, problems };
  } catch {
    return { tests: [], problems: ['the run ended without a report'] };
  }
}

/**
 * Adds to each run's problems what test/skips.ts does not allow.
 * @param {Run[]} runs
 */
async function checkSkips(runs) {
  // Skips that -t causes look like any other.
  if (options.testNamePattern !== undefined) return;
  const { module } = await runnerImport(join(root, 'test/skips.ts'));
  const { skips } = /** @type {typeof import('../test/skips.ts')} */ (module);
  for (const run of runs) {
    run.problems.push(...unlistedSkips(run, skips));
    if (filters.length === 0) run.problems.push(...unmatchedEntries(run, skips));
  }
}

/**
 * A line for a run, and one for each thing that is wrong with it.
 * @param {Run} run
 */
function summary(run) {
  const { runtime, profile, seconds, tests, problems } = run;
  const failures = tests.filter((test) => test.status === 'failed').map((test) => test.fullName);
  const { passed, failed, skipped } = countsOf(run);
  const line = `${runtime.padEnd(9)} ${profile.padEnd(9)} ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds.toFixed(1)} s`;
  return [line, ...[...failures, ...problems].map((each) => `  ✗ ${each}`)].join('\n');
}

/** @param {Run} run */
function countsOf({ tests, problems }) {
  return {
    passed: tests.filter((test) => test.status === 'passed').length,
    failed: tests.filter((test) => test.status === 'failed').length + problems.length,
    skipped: tests.filter(isSkipped).length,
  };
}

/**
 * Prints a line for each run and the sum in the last line, and sets the exit code.
 * @param {Run[]} runs
 */
function report(runs) {
  console.log();
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const run of runs) {
    console.log(summary(run));
    const { passed, failed, skipped } = countsOf(run);
    sum.passed += passed;
    sum.failed += failed;
    sum.skipped += skipped;
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  if (sum.passed + sum.failed === 0)
    console.log('No test was run: test/runs.ts says which tests are part of which run');
  if (sum.failed > 0 || sum.passed === 0) process.exitCode = 1;
}

/**
 * The values of an option that takes one of a few, all of them where it is left out.
 * @param {string} name
 * @param {string | undefined} value
 * @param {string[]} allowed
 */
function choose(name, value, allowed) {
  if (value === undefined) return allowed;
  if (allowed.includes(value)) return [value];
  return refuse(`${name} takes ${allowed.join(' or ')}, not ${value}`);
}

/**
 * @param {string} message
 * @returns {never}
 */
function refuse(message) {
  console.error(`${message}\n\n${usage}`);
  process.exit(2);
}
