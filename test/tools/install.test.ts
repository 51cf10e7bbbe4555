import { describe, expect, it } from 'vitest';
import own from '../../.npmrc?raw';
import bench from '../../bench/.npmrc?raw';
import packageJson from '../../package.json' with { type: 'json' };
import { installHelp, takeInstallOptions } from '../../tools/commandLine.mjs';
import { decide, permit } from '../../tools/install.mjs';

describe('what is missing on a machine', () => {
  const person = { env: {}, isTerminal: true, changesSystem: true };

  it.each([
    ['a person at a terminal is asked before packages of the system are installed', {}, 'ask'],
    ['not where the folder of the project alone, or of the user, is written to', { changesSystem: false }, 'go'],
    ['nor where nobody could answer', { isTerminal: false }, 'go'],
    ['nor in CI, which may have a terminal', { env: { CI: 'true' } }, 'go'],
    ['where CI says that it is none, it is none', { env: { CI: 'false' } }, 'ask'],
    ['--yes answers', { env: { WEFT_INSTALL: 'yes' } }, 'go'],
    ['--no-install forbids', { env: { WEFT_INSTALL: 'no' } }, 'refuse'],
    ['--no-install forbids all else, too', { env: { WEFT_INSTALL: 'no' }, changesSystem: false }, 'refuse'],
    ['--no-install forbids in CI', { env: { WEFT_INSTALL: 'no', CI: '1' }, isTerminal: false }, 'refuse'],
  ])('%s', (_, circumstances, decision) => {
    expect(decide({ ...person, ...circumstances })).toBe(decision);
  });

  it('is installed or not as the options of the command line say, which other programs never see', () => {
    const taken = (...args: string[]) => {
      const env: Record<string, string | undefined> = {};
      return { rest: takeInstallOptions(args, env), decision: decide({ ...person, env }) };
    };
    expect(taken('--text', 'a')).toEqual({ rest: ['--text', 'a'], decision: 'ask' });
    expect(taken('--text', 'a', '--yes')).toEqual({ rest: ['--text', 'a'], decision: 'go' });
    expect(taken('--no-install', '--text', 'a')).toEqual({ rest: ['--text', 'a'], decision: 'refuse' });
    expect(taken('--no-install', '--yes')).toEqual({ rest: [], decision: 'refuse' });
    for (const option of ['--yes', '--no-install']) expect(installHelp(20)).toContain(option);
  });

  it('is installed after a yes, and named with what to do after a no', async () => {
    const wish = { what: 'a driver', how: 'x with apt-get', instead: 'run `apt-get install x`.' };
    const asked: string[] = [];
    const answer = (text: string) => async (question: string) => {
      asked.push(question);
      return text;
    };
    for (const yes of ['', 'y', 'Y', ' yes ']) await permit(wish, 'ask', answer(yes));
    expect(asked).toEqual(new Array(4).fill('weft needs a driver. Install x with apt-get? [Y/n] '));
    for (const no of ['n', 'no', 'what?'])
      await expect(permit(wish, 'ask', answer(no))).rejects.toThrow(
        'weft needs a driver, and nothing was installed: run `apt-get install x`.',
      );
    expect(asked).toHaveLength(7);
    await permit(wish, 'go', answer('n'));
    await expect(permit(wish, 'refuse', answer('y'))).rejects.toThrow(
      'weft needs a driver, and --no-install keeps it from being installed: run `apt-get install x`.',
    );
    expect(asked).toHaveLength(7);
  });
});

it('npm runs no scripts of packages, and this one has none that run by themselves', () => {
  for (const settings of [own, bench]) expect(settings.split('\n')).toContain('ignore-scripts=true');
  const byThemselves = /^(pre|post)|^(install|prepare|dependencies)$/;
  expect(Object.keys(packageJson.scripts).filter((name) => byThemselves.test(name))).toEqual([]);
});
