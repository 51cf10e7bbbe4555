import { html, type TemplateResult } from 'lit';
import type { Case } from '../suites/index.ts';
import { contenders, families, idOf, type State } from './state.ts';

/** What the picker can ask for. */
export interface Actions {
  change(change: Partial<State>): void;
  run(): void;
  stop(): void;
}

/** The form: what to measure, who takes part, and the buttons that start and stop it. */
export function picker(state: State, actions: Actions): TemplateResult {
  const { running, progress, chosen } = state;
  const option = (key: 'quick' | 'variants', label: string, title: string) => html`
    <label class="chip" title=${title}>
      <input type="checkbox" .checked=${state[key]} @change=${() => actions.change({ [key]: !state[key] })} />
      <span>${label}</span>
    </label>`;
  const suite = (title: string, name: Case['suite']) => html`
    <fieldset ?disabled=${running}>
      <legend>${title}</legend>
      ${[...families(name)].map(([family, list]) => familyOf(family, list, state, actions))}
    </fieldset>`;
  return html`
    <form
      class=${`picker ${state.folded ? 'folded' : ''}`}
      @submit=${(event: Event) => {
        event.preventDefault();
        actions.run();
      }}
    >
      <button type="button" class="unfold" ?hidden=${running} @click=${() => actions.change({ folded: false })}>
        Choose what is measured
      </button>
      ${suite('Kernels', 'kernels')} ${suite('Training steps', 'training steps')} ${suite('Memory of a plan', 'memory')}
      <fieldset ?disabled=${running}>
        <legend>Contenders</legend>
        <div class="chips">
          ${contenders.map(
            (name) => html`
              <label class="chip" style=${`--colour: var(--${name})`}>
                <input
                  type="checkbox"
                  .checked=${state.contenders.has(name)}
                  @change=${() => actions.change({ contenders: toggled(state.contenders, [name]) })}
                />
                <span><i></i>${name}</span>
              </label>`,
          )}
          ${option('variants', 'each variant of weft', 'Measures every kernel variant that can do the work, not just the chosen one')}
          ${option('quick', 'quick', 'Few rounds: a first look rather than a result')}
        </div>
      </fieldset>
      <div class="start">
        ${
          running
            ? html`<button type="button" class="primary" @click=${actions.stop}>Stop</button>`
            : html`<button class="primary" ?disabled=${chosen.size === 0 || state.contenders.size === 0}>
                Run ${chosen.size} ${chosen.size === 1 ? 'case' : 'cases'}
              </button>`
        }
        <progress
          aria-label="Cases measured"
          ?hidden=${!running}
          max=${progress?.all ?? 1}
          value=${progress?.done ?? 0}
        ></progress>
        <output aria-live="polite">${running && progress ? `${progress.done} of ${progress.all} · ${progress.now}` : ''}</output>
      </div>
    </form>`;
}

/** A family: a switch for all of it, and one for each size. */
function familyOf(name: string, list: readonly Case[], { chosen }: State, { change }: Actions): TemplateResult {
  const ids = list.map(idOf);
  const count = ids.filter((id) => chosen.has(id)).length;
  return html`
    <details class="family">
      <summary>
        <label>
          <input
            type="checkbox"
            .checked=${count === ids.length}
            .indeterminate=${count > 0 && count < ids.length}
            @change=${() => change({ chosen: toggled(chosen, ids) })}
          />
          ${name}
        </label>
        <small class="count">${count} of ${ids.length}</small>
      </summary>
      <div class="chips">
        ${list.map(
          (each) => html`
            <label class="chip">
              <input
                type="checkbox"
                .checked=${chosen.has(idOf(each))}
                @change=${() => change({ chosen: toggled(chosen, [idOf(each)]) })}
              />
              <span>${each.shape.replace(/ memory$/, '')}</span>
            </label>`,
        )}
      </div>
    </details>`;
}

/** With all of `items`, or without any of them where all were there. */
function toggled(set: ReadonlySet<string>, items: readonly string[]): Set<string> {
  const all = items.every((item) => set.has(item));
  return all ? new Set([...set].filter((item) => !items.includes(item))) : new Set([...set, ...items]);
}
