/**
 * `npm test`: runs the suite in headless Chromium and in Deno, each with both kernel selection profiles, and a chosen part of
 * it on other engines: test/runs.ts says which.
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { runnerImport } from 'vite';
import { installHelp, runProgram, UsageError } from './commandLine.mjs';
import {
  denoEnvironment,
  denoFlags,
  ensureBrowser,
  ensureFirefox,
  ensureNodeGpu,
  ensureVulkan,
  findDeno,
  nodeEnvironment,
  root,
} from './machine.mjs';
import { newsFrom, showProgress } from './progress.mjs';
import { isSkipped, unlistedSkips, unmatchedEntries } from './skips.mjs';

/**
 * @typedef {{ fullName: string, status: string }} TestResult
 * @typedef {{ name: string, status: string, message: string, startTime: number, endTime: number, assertionResults: TestResult[] }} FileResult
 * @typedef {{ testResults: FileResult[] }} JsonReport
 * @typedef {{ name: string, seconds: number }} FileTime
 * @typedef {{ runtime: string, profile: string, seconds: number, tests: TestResult[], problems: string[], files: FileTime[] }} Run
 */

const usage = `Usage: npm test -- [options] [path filter ...]

  --runtime NAME                only chromium or deno, or the part of the tests
                                that firefox, node or a worker (of Deno's) has
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

/**
 * What a runtime needs from the machine, and how it is called: with vitest for its first argument.
 * @typedef {{ needs: () => Promise<unknown>, call: () => Promise<{ command: string, flags: string[], env: NodeJS.ProcessEnv }> }} Runtime
 */

const onNode = async (env = process.env) => ({ command: process.execPath, flags: [], env });
const onDeno = async () => ({ command: await findDeno(), flags: ['run', ...denoFlags], env: denoEnvironment });

/** @type {Readonly<Record<string, Runtime>>} */
const runtimes = {
  chromium: { needs: ensureBrowser, call: onNode },
  deno: { needs: ensureVulkan, call: onDeno },
  firefox: { needs: ensureFirefox, call: onNode },
  node: { needs: ensureNodeGpu, call: async () => onNode(await nodeEnvironment()) },
  worker: { needs: ensureVulkan, call: onDeno },
};
/** Those without which the suite does not run; others are left out where they can't be had. */
const needed = ['chromium', 'deno'];

/** The halves of a whole run, and what tells vitest of them. They share no pipelines, so nothing is compiled twice. */
const halves = [
  { half: 'all but kernels', which: ['--exclude=test/kernels/**'] },
  { half: 'kernels', which: ['test/kernels/'] },
];

await runProgram(
  {
    command: 'npm test',
    usage,
    options: {
      runtime: { type: 'string' },
      profile: { type: 'string' },
      testNamePattern: { type: 'string', short: 't' },
      fuzz: { type: 'string' },
      soak: { type: 'boolean' },
    },
    allowPositionals: true,
  },
  ({ runtime, profile, testNamePattern, fuzz, soak }, paths) => {
    const names = choose('--runtime', runtime, Object.keys(runtimes));
    const profiles = choose('--profile', profile, ['gpu', 'software']);
    if (soak) process.env.WEFT_SOAK = '1';
    if (fuzz !== undefined) process.env.WEFT_FUZZ = graphs(fuzz);
    // Random graphs come in place of the suite, where nothing else is asked for.
    const filters = fuzz !== undefined && paths.length === 0 ? ['test/ops/graphs.test.ts'] : paths;
    return test(names, profiles, filters, testNamePattern);
  },
);

/**
 * @param {string[]} names of runtimes
 * @param {string[]} profiles
 * @param {string[]} filters parts of the paths of files; all files where empty
 * @param {string} [pattern] of the names of tests
 */
async function test(names, profiles, filters, pattern) {
  const { module } = await runnerImport(join(root, 'test/runs.ts'));
  const { allRuns, otherRuns } = /** @type {typeof import('../test/runs.ts')} */ (module);
  const due = [...allRuns, ...otherRuns].filter((run) => names.includes(run.runtime) && profiles.includes(run.profile));
  for (const name of new Set(due.map((run) => run.runtime))) {
    try {
      await runtimes[name]?.needs();
    } catch (error) {
      if (needed.includes(name) || names.length === 1) throw error;
      console.log(`${name} is left out: ${error instanceof Error ? error.message : error}`);
      names = names.filter((each) => each !== name);
    }
  }

  // One seed for all runs, so that they draw the same inputs.
  process.env.WEFT_SEED ??= String(Math.floor(Math.random() * 2 ** 32));
  console.log(`Inputs are drawn from WEFT_SEED=${process.env.WEFT_SEED}`);

  const isWhole = filters.length === 0 && pattern === undefined;
  const asOne = [{ half: '', which: [...filters, ...(pattern === undefined ? [] : ['-t', pattern])] }];
  const partsOf = (/** @type {typeof due} */ runs, /** @type {typeof asOne} */ parts) =>
    runs
      .filter((run) => due.includes(run) && names.includes(run.runtime))
      .flatMap((run) => parts.map((part) => ({ ...run, ...part })));
  // Deno comes last: see below.
  const waiting = [
    ...partsOf(
      allRuns.filter(({ runtime }) => runtime !== 'deno'),
      isWhole ? halves : asOne,
    ),
    ...partsOf([...otherRuns], asOne),
    ...partsOf(
      allRuns.filter(({ runtime }) => runtime === 'deno'),
      isWhole ? halves : asOne,
    ),
  ];
  const progress = waiting.length > 1 ? showProgress() : undefined;
  /** @type {Run[]} */
  const done = [];
  // Two at once, from either end: a browser compiles with all processors, and Deno fills the time that it leaves them.
  const work = async (/** @type {() => (typeof waiting)[number] | undefined} */ take) => {
    for (let next = take(); next; next = take()) done.push(await runSuite(next, progress));
  };
  try {
    await Promise.all([work(() => waiting.shift()), work(() => waiting.pop())]);
  } finally {
    progress?.end();
  }
  const runs = whole(done);
  // Skips that -t causes look like any other.
  if (pattern === undefined) await checkSkips(runs, isWhole);
  report(runs);
}

/**
 * What --fuzz asks for, checked.
 * @param {string} value
 */
function graphs(value) {
  if (/^\d+(-\d+)?$/.test(value)) return value;
  throw new UsageError(`--fuzz takes a number of graphs or their numbers, as 2000 or 40-54, not ${value}`);
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
    const { seconds, tests, problems, files } = runs.get(title) ?? { seconds: 0, tests: [], problems: [], files: [] };
    runs.set(title, {
      ...part,
      seconds: seconds + part.seconds,
      tests: [...tests, ...part.tests],
      problems: [...problems, ...part.problems],
      files: [...files, ...part.files],
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
  const { command, flags, env } = await /** @type {Runtime} */ (runtimes[runtime]).call();
  // Another run may have the tests that are asked for: test/runs.ts.
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--passWithNoTests', ...which];
  const reporters = [
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${reportFile}`,
    '--silent=passed-only',
    ...(progress ? ['--reporter=./tools/progress.mjs'] : []),
  ];

  if (!progress) console.log(`\n── ${title}`);
  const start = performance.now();
  const standing = progress?.begin(title);
  const { code, output } = await execute(command, [...flags, ...vitest, ...reporters], {
    hear: standing?.hear,
    env: {
      // What has been set here: the seed.
      ...process.env,
      ...env,
      ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}),
      WEFT_RUNTIME: runtime,
      WEFT_PROFILE: profile,
      // Another process keeps its own.
      WEFT_CACHE: title.replaceAll(' ', '-'),
    },
  });
  const seconds = (performance.now() - start) / 1000;
  standing?.end();

  const { tests, problems, files } = readReport(reportFile);
  rmSync(folder, { recursive: true });
  const failed = problems.length > 0 || tests.some((test) => test.status === 'failed');
  if (code !== 0 && !failed) problems.push(`vitest ended with ${code}: see the output of this run`);
  progress?.print(
    `\n── ${title}\n${code === 0 ? '' : output}${summary({ runtime, profile, seconds, tests, problems, files })}`,
  );
  return { runtime, profile, seconds, tests, problems, files };
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
 * The tests of a run by vitest's JSON report, the files that could not be run, and how long each took.
 * @param {string} file
 * @returns {{ tests: TestResult[], problems: string[], files: FileTime[] }}
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
    const files = testResults.map(({ name, startTime, endTime }) => ({
      name: relative(root, name),
      seconds: (endTime - startTime) / 1000,
    }));
    return { tests, problems, files };
  } catch {
    return { tests: [], problems: ['the run ended without a report'], files: [] };
  }
}

/**
 * Adds to each run's problems what test/skips.ts does not allow.
 * @param {Run[]} runs
 * @param {boolean} areWhole all of their tests were run
 */
async function checkSkips(runs, areWhole) {
  const { module } = await runnerImport(join(root, 'test/skips.ts'));
  const { skips } = /** @type {typeof import('../test/skips.ts')} */ (module);
  for (const run of runs) {
    run.problems.push(...unlistedSkips(run, skips));
    // Others have a part of the tests, and need not have those that an entry is about.
    if (areWhole && needed.includes(run.runtime)) run.problems.push(...unmatchedEntries(run, skips));
    if (run.tests.length > 0 && run.tests.every(isSkipped)) run.problems.push('not a single test was run');
  }
}

/**
 * A line for a run, and one for each thing that is wrong with it.
 * @param {Run} run
 */
function summary(run) {
  const { runtime, profile, seconds, tests, problems, files } = run;
  const failures = tests.filter((test) => test.status === 'failed').map((test) => test.fullName);
  const { passed, failed, skipped } = countsOf(run);
  const line = `${runtime.padEnd(9)} ${profile.padEnd(9)} ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds.toFixed(1)} s`;
  return [line, ...longest(files), ...[...failures, ...problems].map((each) => `  ✗ ${each}`)].join('\n');
}

/**
 * The files that took the most of a run, in a line; none where it has few.
 * @param {readonly FileTime[]} files
 */
function longest(files) {
  if (files.length <= 10) return [];
  const first = files.toSorted((a, b) => b.seconds - a.seconds).slice(0, 4);
  return [`  longest: ${first.map(({ name, seconds }) => `${name} ${seconds.toFixed(0)} s`).join(', ')}`];
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
  // A run that none of the tests is part of has nothing to say.
  for (const run of runs.filter(({ tests, problems }) => tests.length + problems.length > 0)) {
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
  throw new UsageError(`${name} takes ${allowed.join(' or ')}, not ${value}`);
}
