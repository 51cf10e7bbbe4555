/**
 * Holds the skipped tests of a run against the list in test/skips.ts.
 *
 * @typedef {import('../test/skips.ts').Skip} Skip
 * @typedef {{ fullName: string, status: string }} TestResult
 * @typedef {{ runtime: string, profile: string, tests: TestResult[] }} TestRun
 */

/**
 * Tests that were skipped with no entry that says why.
 * @param {TestRun} run
 * @param {readonly Skip[]} skips
 * @returns {string[]}
 */
export function unlistedSkips(run, skips) {
  const entries = skips.filter((skip) => concerns(skip, run));
  return run.tests
    .filter((test) => isSkipped(test) && !entries.some((entry) => matches(entry, test)))
    .map((test) => `skipped, but not listed in test/skips.ts: ${test.fullName}`);
}

/**
 * Entries that no skip of a whole run matches: the test is gone, was renamed, or runs again.
 * @param {TestRun} run
 * @param {readonly Skip[]} skips
 * @returns {string[]}
 */
export function unmatchedEntries(run, skips) {
  return skips
    .filter((skip) => concerns(skip, run))
    .filter((skip) => !run.tests.some((test) => matches(skip, test) && (skip.adapterDependent || isSkipped(test))))
    .map((skip) => `listed in test/skips.ts, but no test was skipped: ${skip.test}`);
}

/** @param {TestResult} test */
export const isSkipped = (test) => test.status !== 'passed' && test.status !== 'failed';

/** @type {(skip: Skip, run: TestRun) => boolean} */
const concerns = (skip, run) =>
  (skip.runtime ?? run.runtime) === run.runtime && (skip.profile ?? run.profile) === run.profile;

/** @type {(skip: Skip, test: TestResult) => boolean} */
const matches = (skip, test) =>
  typeof skip.test === 'string' ? skip.test === test.fullName : skip.test.test(test.fullName);
