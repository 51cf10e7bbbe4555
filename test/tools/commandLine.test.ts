import { describe, expect, it } from 'vitest';
import { runProgram } from '../../tools/commandLine.mjs';

/** Runs a program, and gives what it was called with, what it said, and its exit code. */
async function run(args: string[], main: (...given: unknown[]) => unknown = () => {}) {
  const { default: process } = await import('node:process');
  const before = process.exitCode;
  process.exitCode = 0;
  const called: unknown[][] = [];
  const said: string[] = [];
  const complained: string[] = [];
  await runProgram(
    {
      ...{ command: 'npm run weave', usage: 'how to weave', say: (text) => said.push(text) },
      complain: (text) => complained.push(text),
      options: { warp: { type: 'string' }, tight: { type: 'boolean', short: 't' } },
      allowPositionals: !args.includes('alone'),
    },
    (values, positionals) => {
      called.push([{ ...values }, positionals]);
      return main();
    },
    args,
  );
  const code = process.exitCode;
  process.exitCode = before;
  return { called, said: said.join('\n'), complained: complained.join('\n'), code };
}

describe('a program', () => {
  it('is run with its options and all else', async () => {
    const { called, code } = await run(['a', '--warp', '3', '-t', 'b']);
    expect([called, code]).toEqual([[[{ warp: '3', tight: true }, ['a', 'b']]], 0]);
    expect((await run([])).called).toEqual([[{}, []]]);
  });

  it.each([['--help'], ['-h'], ['--warp', '3', '--help']])('says how it is used: %s', async (...args) => {
    expect(await run(args)).toEqual({ called: [], said: 'how to weave', complained: '', code: 0 });
  });

  it.each([
    [['--wrap', '3'], 'there is no option --wrap; is --warp meant?'],
    [['--hlep'], 'there is no option --hlep; is --help meant?'],
    [['--no-instal'], 'there is no option --no-instal; is --no-install meant?'],
    [['--elephants'], 'there is no option --elephants'],
    [['-x'], 'there is no option -x'],
    [['--warp'], "Option '--warp <value>' argument missing"],
    [['--tight=very'], "Option '-t, --tight' does not take an argument"],
    [['alone'], "Unexpected argument 'alone'"],
  ])('is not run with a wrong command line, %j: exit code 2', async (args, message) => {
    const complained = `weft: ${message}\nnpm run weave -- --help lists all options.`;
    expect(await run(args)).toEqual({ called: [], said: '', complained, code: 2 });
  });

  it('cuts what is long', async () => {
    const { complained } = await run([`--${'x'.repeat(20_000)}`]);
    expect(complained.length).toBeLessThan(200);
  });

  it('says what went wrong: exit code 1', async () => {
    const failing = await run([], () => Promise.reject(new RangeError('no thread')));
    expect(failing).toMatchObject({ said: '', complained: 'weft: no thread', code: 1 });
  });
});
