/** The benchmark page, opened by a visitor or by bench/chrome.ts. */

import { type Host, type Options, type Progress, runBench } from './bench.ts';
import type { PeerModule, PeerName } from './peers/library.ts';
import { cells, columns, fastestFirst, markdown, type Row, tables } from './rows.ts';

/** Found at build time, so that the page can be built where the peers are not installed. */
const modules = import.meta.glob<PeerModule>('./peers/{jax,tfjs,onnxruntime}.ts');
const files: Readonly<Record<PeerName, string>> = {
  tfjs: './peers/tfjs.ts',
  'jax-js': './peers/jax.ts',
  'onnxruntime-web': './peers/onnxruntime.ts',
};
const peers: Host['peers'] = Object.fromEntries(
  Object.entries(files).flatMap(([name, file]) => (modules[file] ? [[name, modules[file]]] : [])),
);

const runtime =
  navigator.userAgent
    .match(/(?:Headless)?Chrome\/\d+|Firefox\/\d+|Version\/[\d.]+ Safari/)?.[0]
    .replace(/\/|Headless/g, (found) => (found === '/' ? ' ' : '')) ?? navigator.userAgent;

/** What the page tells bench/chrome.ts, if that opened it. */
export type Event =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'rows'; readonly rows: readonly Row[] }
  | { readonly kind: 'message'; readonly text: string };

declare global {
  /** Given by bench/chrome.ts. */
  var weftBenchEvent: ((event: Event) => Promise<void>) | undefined;
  /** What bench/chrome.ts calls. */
  var weftBench: { run(options: Options): Promise<{ error?: string }>; stop(): void };
}

const find = <Found extends HTMLElement>(id: string) => document.getElementById(id) as Found;

class PageHost implements Host {
  readonly runtime = runtime;
  readonly peers = peers;
  stopped = false;
  readonly all: Row[] = [];

  progress(progress: Progress): void {
    find('state').textContent = `${progress.done} of ${progress.all}: ${progress.now}`;
    find<HTMLProgressElement>('progress').max = progress.all;
    find<HTMLProgressElement>('progress').value = progress.done;
    void globalThis.weftBenchEvent?.({ kind: 'progress', progress });
  }

  rows(rows: readonly Row[]): void {
    this.all.push(...rows);
    for (const group of tables(rows)) find('tables').append(table(group));
    void globalThis.weftBenchEvent?.({ kind: 'rows', rows });
  }

  message(text: string): void {
    find('messages').append(`${text}\n`);
    void globalThis.weftBenchEvent?.({ kind: 'message', text });
  }
}

function table(group: readonly Row[]): HTMLTableElement {
  const element = document.createElement('table');
  const [first] = group as [Row];
  element.createCaption().textContent = `${first.name} ${first.shape}`;
  const head = element.createTHead().insertRow();
  for (const column of columns) head.appendChild(document.createElement('th')).textContent = column;
  const body = element.createTBody();
  for (const row of fastestFirst(group)) {
    const line = body.insertRow();
    for (const cell of cells(row, group)) line.insertCell().textContent = cell;
  }
  return element;
}

let host = new PageHost();

globalThis.weftBench = {
  async run(options) {
    host = new PageHost();
    find('tables').replaceChildren();
    try {
      await runBench(options, host);
      return {};
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      host.message(message);
      return { error: message };
    } finally {
      find('state').textContent = 'done';
    }
  },
  stop() {
    host.stopped = true;
  },
};

find<HTMLFormElement>('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = new FormData(event.target as HTMLFormElement);
  const pattern = String(form.get('only') ?? '').trim();
  const run = find<HTMLButtonElement>('run');
  run.disabled = true;
  await globalThis.weftBench.run({
    only: pattern === '' ? [] : [pattern],
    quick: form.has('quick'),
    variants: form.has('variants'),
  });
  run.disabled = false;
});
find('stop').addEventListener('click', () => globalThis.weftBench.stop());
find('json').addEventListener('click', () => navigator.clipboard.writeText(JSON.stringify(host.all, null, 1)));
find('markdown').addEventListener('click', () => navigator.clipboard.writeText(markdown(host.all)));
