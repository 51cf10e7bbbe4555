/** The benchmark page, opened by a visitor or by bench/chrome.ts. */

import { html, nothing, render, type TemplateResult } from 'lit';
import { type Host, type Options, type Progress, runBench } from '../bench.ts';
import type { PeerModule, PeerName } from '../peers/library.ts';
import { markdown, type Row } from '../rows.ts';
import { type Actions, picker } from './picker.ts';
import { results } from './results.ts';
import { pack, unpack } from './share.ts';
import { initial, patterns, type State } from './state.ts';

/** Found at build time, so that the page can be built where the peers are not installed. */
const modules = import.meta.glob<PeerModule>('../peers/{jax,tfjs,onnxruntime}.ts');
const files: Readonly<Record<PeerName, string>> = {
  tfjs: '../peers/tfjs.ts',
  'jax-js': '../peers/jax.ts',
  'onnxruntime-web': '../peers/onnxruntime.ts',
};
const peers: Host['peers'] = Object.fromEntries(
  Object.entries(files).flatMap(([name, file]) => (modules[file] ? [[name, modules[file]]] : [])),
);

/** Results worth keeping, by the name of their file: a page without any of its own shows what there is. */
const kept = import.meta.glob<readonly Row[]>(['../results/*.json', '!../results/scaling-*'], { import: 'default' });

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

let state: State = initial();

class PageHost implements Host {
  readonly runtime = runtime;
  readonly peers = peers;
  stopped = false;

  progress(progress: Progress): void {
    actions.change({ progress });
    void globalThis.weftBenchEvent?.({ kind: 'progress', progress });
  }

  rows(rows: readonly Row[]): void {
    actions.change({ rows: [...state.rows, ...rows] });
    void globalThis.weftBenchEvent?.({ kind: 'rows', rows });
  }

  message(text: string): void {
    actions.change({ messages: [...state.messages, text] });
    void globalThis.weftBenchEvent?.({ kind: 'message', text });
  }
}

let host = new PageHost();

async function run(options: Options): Promise<{ error?: string }> {
  host = new PageHost();
  actions.change({ running: true, rows: [], messages: [], progress: null, shared: '', notice: '', folded: true });
  try {
    await runBench(options, host);
    return {};
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    actions.change({ messages: [...state.messages, message], folded: false });
    return { error: message };
  } finally {
    actions.change({ running: false, progress: null });
  }
}

const stop = () => {
  host.stopped = true;
};
globalThis.weftBench = { run, stop };

const actions: Actions = {
  change(change) {
    state = { ...state, ...change };
    draw();
  },
  run() {
    void run({ only: patterns(state), quick: state.quick, variants: state.variants });
  },
  stop,
};

/** Copies, and says so where the user looks. */
async function copy(text: string | Promise<string>, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(await text);
    actions.change({ notice: `${what} copied` });
  } catch (error) {
    actions.change({ notice: `The browser did not let ${what} be copied: ${(error as Error).message}` });
  }
}

/** The address of this page with what was picked and measured. */
async function link(): Promise<string> {
  const { chosen, contenders, variants, quick, rows } = state;
  const hash = await pack({ chosen: [...chosen], contenders: [...contenders], variants, quick, rows });
  history.replaceState(null, '', `#${hash}`);
  return location.href;
}

/** `swiftshader-2026-11-21`, from the path of a file. */
const nameOf = (file: string) => file.replace(/.*\/|\.json$/g, '');

async function show(file: string): Promise<void> {
  const rows = await (kept[file] as () => Promise<readonly Row[]>)();
  actions.change({
    rows,
    messages: [],
    folded: true,
    shared: `Recorded with \`npm run bench\`: ${nameOf(file)}. Run to measure this device.`,
  });
}

function draw(): void {
  render(
    html`
      <header>
        <h1>weft <span>benchmark</span></h1>
        <p>
          Sequence models on WebGPU, measured in this browser, on your GPU. Each result is checked against float64 before
          it is timed; contenders take turns.
        </p>
      </header>
      <main>
        <aside>${picker(state, actions)}</aside>
        <div class="results">
          ${state.messages.length > 0 ? html`<pre role="alert">${state.messages.join('\n')}</pre>` : nothing}
          ${state.rows.length > 0 ? shown(state) : empty(state)}
        </div>
      </main>
      <footer>
        Median of at least 15 rounds, with the 10th and the 90th percentile; a quick run has 5, and a contender that is no
        match fewer. The limits are measured by two kernels on this page: chains of multiply-adds in registers, and a copy,
        which takes turns with what memory bounds.
        weft:counted has the kernels that a GPU gets, where the device is none.
      </footer>`,
    document.body,
  );
}

function shown({ rows, notice, shared }: State): TemplateResult {
  return html`
    <nav aria-label="Results">
      <button @click=${() => copy(JSON.stringify(rows, null, 1), 'JSON')}>Copy JSON</button>
      <button @click=${() => copy(markdown(rows), 'Markdown')}>Copy Markdown</button>
      <button @click=${() => copy(link(), 'Link')}>Copy link</button>
      <output aria-live="polite">${notice}</output>
      ${shared ? html`<p class="shared">${shared}</p>` : nothing}
    </nav>
    <div class="cards">${results(rows)}</div>`;
}

function empty({ running }: State): TemplateResult {
  if (running) return html`<p class="empty">Getting ready: libraries are loaded and the device’s limits measured …</p>`;
  const files = Object.keys(kept);
  return html`
    <div class="empty">
      <p>
        Pick kernels and sizes, then run. A quick run of the kernels picked here takes a few minutes without a GPU, and less
        than one with it.
      </p>
      ${
        files.length > 0
          ? html`<p>Or see what was measured before:</p>
              <p class="kept">${files.map((file) => html`<button @click=${() => show(file)}>${nameOf(file)}</button>`)}</p>`
          : nothing
      }
    </div>`;
}

/** What came with the address. */
async function open(): Promise<void> {
  if (!('gpu' in navigator)) {
    const what = isSecureContext
      ? 'This browser has no WebGPU. Use Chrome or Edge 113, Safari 26, Firefox 141, or newer'
      : 'Browsers have WebGPU only in pages that come over https, or from this computer as localhost';
    state = { ...state, messages: [`${what}. Results that others have measured can be seen all the same.`] };
  }
  if (location.hash.length <= 1) return;
  const shared = await unpack(location.hash.slice(1)).catch((error: Error) => {
    state = { ...state, messages: [error.message] };
    return null;
  });
  if (!shared) return;
  const { chosen, contenders, variants, quick, rows } = shared;
  const picked = { chosen: new Set(chosen), contenders: new Set(contenders), variants, quick };
  const measured = rows.length > 0;
  const says = measured ? 'These results came with the link. Run to measure this device.' : '';
  state = { ...state, ...picked, rows, shared: says, folded: measured };
}

await open();
draw();
for (const query of ['(prefers-color-scheme: dark)', '(max-width: 600px)']) {
  matchMedia(query).addEventListener('change', () => draw());
}
// Another link in the same tab.
addEventListener('hashchange', async () => {
  if (state.running) return;
  await open();
  draw();
});
