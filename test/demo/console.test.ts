import { describe, expect, it } from 'vitest';
import { visible } from '../../demo/console.ts';

/** ESC and its like, in one and two bytes, and what turns a text round. */
const commands = [
  ...Array.from({ length: 0x20 }, (_, code) => code).filter((code) => code !== 9 && code !== 10),
  ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i),
  ...[0x061c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069],
].map((code) => String.fromCharCode(code));

describe('what a text has of commands for a terminal', () => {
  it('is shown, and all else is left alone', () => {
    for (const command of commands) {
      expect(visible(`a${command}b`)).toMatch(/^a\\u[\da-f]{4}b$/);
      expect(JSON.parse(`"${visible(command)}"`)).toBe(command);
    }
    const plain = 'tab\tline\nünï "quotes" \\ 字 😀 👩‍🚀 é';
    expect(visible(plain)).toBe(plain);
    expect(visible('\u001b[2J\u001b]0;title\u0007')).toBe('\\u001b[2J\\u001b]0;title\\u0007');
  });

  it('is shown by all that demo and benchmark print, since they print in one way', () => {
    const sources: Record<string, string> = import.meta.glob(
      ['../../demo/**/*.ts', '../../bench/**/*.ts', '!../../bench/{page,peers,node_modules}/**'],
      { query: '?raw', import: 'default', eager: true },
    );
    const printing = Object.entries(sources).filter(([, source]) => /\bconsole\.\w+\(|\.write\(/.test(source));
    expect(printing.map(([path]) => path.replace('../../', '')).sort()).toEqual([
      'demo/console.ts',
      'demo/terminal.ts',
    ]);
  });
});

/** A page has no terminal: the modules ask for the process. */
describe('a terminal', () => {
  it('gets none of the commands that a text, a name or a table has', async () => {
    const { Terminal, terminalChart } = await import('../../demo/terminal.ts');
    const { quoted } = await import('../../demo/report.ts');
    let written = '';
    const stream = { isTTY: false, columns: 80, write: (text: string) => (written += text) };
    const terminal = new Terminal(stream as unknown as NodeJS.WriteStream);
    const nasty = commands.join('x');
    for (const text of [nasty, quoted(nasty), `Text        ${nasty} ${nasty}`]) terminal.print(text);
    const times = { step: 1, steps: 2, loss: 1, tokensPerSecond: 1, secondsLeft: 1 };
    terminal.progress({ model: nasty, ...times });
    terminal.print(terminalChart({ title: nasty, losses: [3, 2, 1], validation: 1, bigram: 2 }));
    expect(written).toContain('\\u001b');
    for (const command of commands) expect(written.includes(command), JSON.stringify(command)).toBe(false);
  });
});
