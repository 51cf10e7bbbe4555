/**
 * Whether what is missing on a machine may be installed. Programs of this project go on by themselves where nobody could
 * answer, and ask where a person sits at the terminal and the system itself is to be changed.
 *
 * @typedef {'go' | 'ask' | 'refuse'} Decision
 * @typedef {(question: string) => Promise<string>} Ask
 */

/** What the command line says of it, see commandLine.mjs. */
const variable = 'WEFT_INSTALL';

/**
 * @param {object} circumstances
 * @param {Record<string, string | undefined>} circumstances.env
 * @param {boolean} circumstances.isTerminal somebody could answer
 * @param {boolean} circumstances.changesSystem packages of the system would be installed, as root
 * @returns {Decision}
 */
export function decide({ env, isTerminal, changesSystem }) {
  if (env[variable] === 'no') return 'refuse';
  const isCI = !['', 'false', '0', undefined].includes(env.CI);
  return changesSystem && env[variable] !== 'yes' && isTerminal && !isCI ? 'ask' : 'go';
}

/**
 * Says what is about to be installed, or asks whether it may be. Throws where it may not: the error says how to get it.
 * @param {object} wish
 * @param {string} wish.what is needed
 * @param {string} wish.how it would be installed: `packages with apt-get`
 * @param {string} wish.instead what to do by hand
 * @param {Decision} decision
 * @param {Ask} [ask]
 */
export async function permit({ what, how, instead }, decision, ask = askOnTerminal) {
  if (decision === 'go') return console.error(`weft needs ${what}: installing ${how}.`);
  if (decision === 'ask') {
    const answer = await ask(`weft needs ${what}. Install ${how}? [Y/n] `);
    if (/^\s*(y(es)?)?\s*$/i.test(answer)) return;
  }
  const why = decision === 'ask' ? 'nothing was installed' : '--no-install keeps it from being installed';
  throw new Error(`weft needs ${what}, and ${why}: ${instead}`);
}

/** @param {boolean} changesSystem */
export const decideHere = (changesSystem) =>
  decide({ env: process.env, isTerminal: !!process.stdin.isTTY && !!process.stdout.isTTY, changesSystem });

/** @type {Ask} */
async function askOnTerminal(question) {
  const { createInterface } = await import('node:readline');
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await new Promise((resolve) => {
    // Ctrl-C and Ctrl-D.
    lines.once('close', () => resolve('no'));
    lines.question(question, resolve);
  });
  lines.close();
  return answer;
}
