import type { LossCurve } from './chart.ts';
import type { Host, Progress } from './host.ts';

/** The only function that chrome.ts gives the page. */
declare function weftHost(method: string, args: readonly unknown[]): Promise<{ value?: unknown; error?: string }>;

const sources: Record<string, string> = import.meta.glob(
  ['../README.md', '../src/**/*.ts', '../shaders/**/*.{ts,wgsl}'],
  {
    query: '?raw',
    import: 'default',
    eager: true,
  },
);

/** The host of what runs in a page that chrome.ts has opened: hands everything back to the command line. */
export class PageHost implements Host {
  readonly runtime =
    navigator.userAgent.match(/(?:Headless)?Chrome\/[\d]+/)?.[0].replace('/', ' ') ?? navigator.userAgent;
  interrupted = false;
  /** Calls in their order: one waits for the one before it. */
  #calls: Promise<unknown> = Promise.resolve();

  print(text = ''): void {
    void this.call('print', text);
  }

  progress(progress: Progress): void {
    void this.call('progress', progress);
  }

  async readFile(path: string): Promise<Uint8Array<ArrayBuffer>> {
    const base64 = (await this.call('readFile', path)) as string;
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }

  async tryFolder(folder: string): Promise<void> {
    await this.call('tryFolder', folder);
  }

  async writeFile(folder: string, name: string, bytes: Uint8Array): Promise<string> {
    return (await this.call('writeFile', folder, name, toBase64(bytes))) as string;
  }

  async showCurve(folder: string, name: string, curve: LossCurve): Promise<string> {
    return (await this.call('showCurve', folder, name, curve)) as string;
  }

  async sources(): Promise<Record<string, string>> {
    return Object.fromEntries(Object.entries(sources).map(([path, source]) => [path.replace('../', ''), source]));
  }

  /** What the work gives, or what it says of its failure, once everything has reached the command line. */
  async outcome<Result>(work: () => Promise<Result>): Promise<{ result: Result } | { error: string }> {
    try {
      return { result: await work() };
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    } finally {
      await this.#calls;
    }
  }

  private call(method: string, ...args: readonly unknown[]): Promise<unknown> {
    const answer = this.#calls.then(async () => {
      const { value, error } = await weftHost(method, args);
      if (error !== undefined) throw new Error(error);
      return value;
    });
    this.#calls = answer.catch(() => {});
    return answer;
  }
}

function toBase64(bytes: Uint8Array): string {
  let binary = '';
  // Arguments of one call are limited in number.
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(binary);
}
