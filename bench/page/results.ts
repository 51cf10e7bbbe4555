import { html, nothing, type TemplateResult } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { ref } from 'lit/directives/ref.js';
import { asText, digits, fastestFirst, limitOf, type Row, type Table, tables } from '../rows.ts';
import { type Drawing, drawChart, familyChart, memoryChart, standingsChart } from './charts.ts';
import { geometricMean, standings } from './summary.ts';

/** All that was measured: how weft stands, the device, then a card for each family, and what attention keeps in memory. */
export function results(rows: readonly Row[]): TemplateResult {
  const limits = rows.filter(({ suite }) => suite === 'limits');
  const measured = rows.filter(({ suite }) => suite === 'kernels' || suite === 'training steps');
  const memory = rows.filter(({ suite }) => suite === 'memory');
  const byName = (list: readonly Row[]) => [...Map.groupBy(list, ({ name }) => name).values()];
  return html`
    ${standing(measured)} ${limits.length > 0 ? device(limits) : nothing}
    ${byName(measured).map((list) => card(list, familyChart(list)))}
    ${byName(memory).map((list) => card(list, memoryChart(list)))}`;
}

function device(limits: readonly Row[]): TemplateResult {
  const [{ adapter, runtime }] = limits as [Row];
  return html`
    <section class="card device">
      <h2>${adapter}</h2>
      <p>${runtime}</p>
      <dl>
        ${limits.map((row) => {
          const [figure, unit] = limitOf(row);
          return html`
            <div>
              <dt>${row.name}</dt>
              <dd><b>${figure}</b> ${unit}</dd>
              <span class="what">${row.shape}</span>
            </div>`;
        })}
      </dl>
    </section>`;
}

function standing(rows: readonly Row[]): TemplateResult | typeof nothing {
  const list = standings(rows);
  if (list.length === 0) return nothing;
  const [{ adapter, runtime }] = rows as [Row];
  const ahead = list.filter(({ ratio }) => ratio >= 1).length;
  return html`
    <section class="card standing">
      <p class="headline">
        <b class="figure">${digits(geometricMean(list.map(({ ratio }) => ratio)))} ×</b>
        <span>
          <strong>as fast as the best of the others</strong>
          geometric mean over ${list.length} ${list.length === 1 ? 'case' : 'cases'}, ahead in
          ${ahead === list.length ? 'all' : ahead} · ${adapter}, ${runtime}
        </span>
      </p>
      ${chart(rows, standingsChart(list))}
    </section>`;
}

function card(rows: readonly Row[], drawing: Drawing | null): TemplateResult {
  const [{ name, suite }] = rows as [Row];
  const groups = tables(rows).map(fastestFirst);
  return html`
    <section class="card family-card">
      <h2>${name}${suite === 'memory' ? ': memory' : ''}</h2>
      ${drawing ? chart(rows, drawing) : nothing}
      <div class="scroll" tabindex="0" role="region" aria-label=${`Figures of ${name}`}>
        ${table(groups, asText(groups))}
      </div>
    </section>`;
}

const dark = matchMedia('(prefers-color-scheme: dark)');
const narrow = matchMedia('(max-width: 600px)');

/** Drawn anew when there are other rows or colours, or the page turns narrow. */
function chart(rows: readonly Row[], { label, height, configuration }: Drawing): TemplateResult {
  const key = [rows.length, rows[0], dark.matches, narrow.matches];
  return html`
    <div class="chart" style=${`height: ${height}px`}>
      ${guard(key, () => html`<canvas role="img" aria-label=${label} ${ref((canvas) => canvas && drawChart(canvas as HTMLCanvasElement, configuration))}></canvas>`)}
    </div>`;
}

/** One table for all sizes, so that its columns are aligned. The note stands under the contender: it is longer than all others. */
function table(groups: readonly (readonly Row[])[], texts: readonly Table[]): TemplateResult {
  const titles = texts[0]?.titles.filter((title) => title !== 'note') ?? [];
  return html`
    <table>
      <thead>
        <tr>${titles.map((title) => html`<th scope="col">${title}</th>`)}</tr>
      </thead>
      ${groups.map(
        (group, n) => html`
          <tbody>
            <tr class="size"><th scope="rowgroup">${group[0]?.shape}</th><td colspan=${titles.length - 1}></td></tr>
            ${group.map(
              (row, r) => html`
                <tr class=${row.contender === 'weft' ? 'own' : ''}>
                  ${titles.map((_, i) => {
                    const cell = texts[n]?.lines[r]?.[i];
                    return i === 0
                      ? html`<th scope="row">${cell}<small class="note">${row.note}</small></th>`
                      : html`<td>${cell}</td>`;
                  })}
                </tr>`,
            )}
          </tbody>`,
      )}
    </table>`;
}
