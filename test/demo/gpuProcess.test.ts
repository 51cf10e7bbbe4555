import { describe, expect, it } from 'vitest';

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

describe('npm start --browser', () => {
  it('goes on when the GPU process is killed, in a page that is hidden, and ends with the same bits', async ({
    skip,
  }) => {
    const { default: process } = await import('node:process');
    skip(!process.env.CHROME_PATH, 'a browser is only there where tests run in it as well');
    const { spawn } = await import('node:child_process');
    const { mkdtemp, readFile, rm, writeFile } = await import('node:fs/promises');
    const { tmpdir } = await import('node:os');
    const { join } = await import('node:path');
    const folder = await mkdtemp(join(tmpdir(), 'weft-demo-'));
    await writeFile(join(folder, 'text.txt'), 'fn main() { let weft = loom + shuttle; }\n'.repeat(50));

    /** Runs the job; `disturb` is called once it has made a step. */
    const run = (out: string, disturb: (pid: number) => Promise<void> = async () => {}) =>
      new Promise<string>((resolve, reject) => {
        const args = ['--browser', '--json', '--model', 'rnn', '--steps', '120', '--text', join(folder, 'text.txt')];
        const child = spawn(process.execPath, ['run', '-A', 'demo/main.ts', ...args, '--out', join(folder, out)]);
        let errors = '';
        let started = false;
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          errors += text;
          if (started || !/step +\d+\/120/.test(errors)) return;
          started = true;
          disturb(child.pid as number).catch(reject);
        });
        child.on('close', (code) => (code === 0 ? resolve(errors) : reject(new Error(errors))));
      });

    const kill = async (pid: number) => {
      const all = await descendants(pid);
      const browser = all.find(
        ({ command }) => /--user-data-dir=/.test(command) && !/--type=/.test(command),
      ) as Process;
      const data = /--user-data-dir=(\S+)/.exec(browser.command)?.[1] as string;
      const [port] = (await readFile(join(data, 'DevToolsActivePort'), 'utf8')).split('\n');
      expect(await hide(`http://127.0.0.1:${port}/json`)).toBe('hidden');
      const gpu = all.filter(({ command }) => command.includes('--type=gpu-process'));
      expect(gpu).toHaveLength(1);
      process.kill(gpu[0]?.pid as number, 'SIGKILL');
    };

    const [undisturbed, killed] = await Promise.all([run('whole'), run('killed', kill)]);
    expect(undisturbed).not.toContain('device lost');
    expect(killed).toMatch(/device lost at step \d+; went on from step \d+\n/);
    const checkpoints = ['whole', 'killed'].map((out) => readFile(join(folder, out, 'rnn.safetensors')));
    const [whole, other] = await Promise.all(checkpoints);
    expect(other).toEqual(whole);
    await rm(folder, { recursive: true });
  });
});

/** A process and all that it has started, on Linux and macOS. */
async function descendants(pid: number): Promise<Process[]> {
  const { execFileSync } = await import('node:child_process');
  const rows = execFileSync('ps', ['-eo', 'pid,ppid,args'], { encoding: 'utf8' }).split('\n');
  const all = rows.flatMap((row) => {
    const [, own, parent, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(row) ?? [];
    return own ? [{ pid: Number(own), parent: Number(parent), command }] : [];
  });
  const found = all.filter((each) => each.pid === pid);
  for (const each of found) found.push(...all.filter(({ parent }) => parent === each.pid));
  return found;
}

/** Brings another page in front of the job's, by the browser's own protocol; gives the visibility that the job's page has then. */
async function hide(json: string): Promise<string> {
  const pages: { url: string; webSocketDebuggerUrl: string }[] = await (await fetch(`${json}/list`)).json();
  const job = pages.find(({ url }) => url.includes('job.html'));
  const { id }: { id: string } = await (await fetch(`${json}/new?about:blank`, { method: 'PUT' })).json();
  await (await fetch(`${json}/activate/${id}`)).text();
  const socket = new WebSocket(job?.webSocketDebuggerUrl as string);
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  const evaluate = () =>
    new Promise<string>((resolve) => {
      const read = ({ data }: MessageEvent) => resolve(JSON.parse(data).result.result.value);
      socket.addEventListener('message', read, { once: true });
      const params = { expression: 'document.visibilityState' };
      socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params }));
    });
  let seen = await evaluate();
  for (let i = 0; i < 50 && seen !== 'hidden'; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    seen = await evaluate();
  }
  socket.close();
  return seen;
}
