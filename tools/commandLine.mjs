/** The command line that all programs of this project share: options, `--help`, what is said of mistakes, exit codes. */

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** @typedef {NonNullable<import('node:util').ParseArgsConfig['options']>} Syntax */

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  /** @override */
  name = 'UsageError';
}

/**
 * What `--help` says of the options of `takeInstallOptions`, in columns of which the first is as wide.
 * @param {number} width
 */
export const installHelp = (width) =>
  [
    ['  --yes', 'installs what is missing without a question'],
    ['  --no-install', 'installs nothing: says what to install'],
  ]
    .map(([option = '', text]) => option.padEnd(width) + text)
    .join('\n');

/** Hands the answer on to the processes that are started. */
const variable = 'WEFT_INSTALL';

/**
 * Takes `--yes` and `--no-install` out of the arguments of a command, for this process and those that it starts.
 * @param {readonly string[]} args
 * @param {Record<string, string | undefined>} [env]
 * @returns {string[]} the others
 */
export function takeInstallOptions(args, env = process.env) {
  if (args.includes('--yes')) env[variable] = 'yes';
  if (args.includes('--no-install')) env[variable] = 'no';
  return args.filter((argument) => argument !== '--yes' && argument !== '--no-install');
}

/**
 * Runs a program with what stands on its command line. Exit codes: 2 for a wrong command line, 1 for any other error.
 * @template {Syntax} Options
 * @param {object} program
 * @param {string} program.command as users type it: `npm run bench`
 * @param {string} program.usage what `--help` prints
 * @param {Options} program.options beside `--help` and those of `takeInstallOptions`
 * @param {boolean} [program.allowPositionals]
 * @param {(text: string) => void} [program.say]
 * @param {(text: string) => void} [program.complain]
 * @param {(values: ReturnType<typeof read<Options>>['values'], positionals: string[]) => unknown} main
 * @param {string[]} [given] what stands on the command line
 */
export async function runProgram(
  { command, usage, options, allowPositionals = false, say = console.log, complain = console.error },
  main,
  given = process.argv.slice(2),
) {
  try {
    const args = takeInstallOptions(given);
    if (args.includes('--help') || args.includes('-h')) return say(usage);
    const { values, positionals } = await parse(args, options, allowPositionals);
    await main(values, positionals);
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    complain(process.env.WEFT_DEBUG && stack ? stack : `weft: ${message}`);
    if (error instanceof UsageError) complain(`${command} -- --help lists all options.`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/**
 * Throws a UsageError that says what is wrong, and which option may be meant.
 * @template {Syntax} Options
 * @param {string[]} args
 * @param {Options} options
 * @param {boolean} [allowPositionals]
 */
export async function parse(args, options, allowPositionals = false) {
  const { tokens } = parseArgs({ args, options, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind !== 'option' || Object.hasOwn(options, token.name)) continue;
    const { brief, nearest } = await library();
    const near = nearest(token.name, [...Object.keys(options), 'help', 'yes', 'no-install']);
    throw new UsageError(`there is no option ${brief(token.rawName)}${near ? `; is --${near} meant?` : ''}`);
  }
  try {
    return read(args, options, allowPositionals);
  } catch (error) {
    // The first sentence says it; the rest is about a syntax that plays no part here.
    const [sentence = ''] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    throw new UsageError((await library()).brief(sentence, 200));
  }
}

/**
 * @template {Syntax} Options
 * @param {string[]} args
 * @param {Options} options
 * @param {boolean} allowPositionals
 */
function read(args, options, allowPositionals) {
  const { values, positionals } = parseArgs({ args, options, allowPositionals });
  return { values, positionals };
}

/**
 * What the library itself says of options with.
 * @returns {Promise<typeof import('../src/core/options.ts')>}
 */
async function library() {
  if ('Deno' in globalThis) return import('../src/core/options.ts');
  // Node 20 reads no TypeScript by itself.
  const { runnerImport } = await import('vite');
  return /** @type {any} */ (
    (await runnerImport(fileURLToPath(new URL('../src/core/options.ts', import.meta.url)))).module
  );
}
