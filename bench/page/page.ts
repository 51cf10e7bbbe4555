/** The benchmark page, opened by a visitor or by bench/chrome.ts. */

import { html, nothing, render } from 'lit';
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
  actions.change({ running: true, rows: [], messages: [], progress: null, shared: false, notice: '' });
  try {
    await runBench(options, host);
    return {};
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    host.message(message);
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
async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
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
          ${
            state.rows.length > 0
              ? html`
                  <nav>
                    <button @click=${() => copy(JSON.stringify(state.rows, null, 1), 'JSON')}>Copy JSON</button>
                    <button @click=${() => copy(markdown(state.rows), 'Markdown')}>Copy Markdown</button>
                    <button @click=${async () => copy(await link(), 'Link')}>Copy link</button>
                    <output aria-live="polite">${state.notice}</output>
                    ${state.shared ? html`<p class="shared">These results came with the link. Run to measure this device.</p>` : nothing}
                  </nav>
                  <div class="cards">${results(state.rows)}</div>`
              : html`<p class="empty">
                  ${state.running ? 'Getting ready …' : 'Pick kernels and sizes, then run. A quick run of the kernels picked here takes a few minutes without a GPU, and less than one with it.'}
                </p>`
          }
        </div>
      </main>
      <footer>
        Median of at least 15 rounds, with the 10th and the 90th percentile; a quick run has 5. The limits are measured by
        two kernels on this page: chains of multiply-adds in registers, and a copy.
      </footer>`,
    document.body,
  );
}

if (location.hash.length > 1) {
  const shared = await unpack(location.hash.slice(1));
  if (shared) {
    const { chosen, contenders, variants, quick, rows } = shared;
    state = {
      ...state,
      chosen: new Set(chosen),
      contenders: new Set(contenders),
      variants,
      quick,
      rows,
      shared: rows.length > 0,
    };
  } else state = { ...state, messages: ['The link holds no results that can be read: was it cut off?'] };
}
draw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => draw());
