import { html, nothing, type TemplateResult } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { ref } from 'lit/directives/ref.js';
import { cells, columns, digits, fastestFirst, type Row, tables } from '../rows.ts';
import { drawChart, familyChart, standingsChart } from './charts.ts';
import { geometricMean, standings } from './summary.ts';

/** All that was measured: the device, how weft stands, then a card for each family. */
export function results(rows: readonly Row[]): TemplateResult {
  const limits = rows.filter(({ suite }) => suite === 'limits');
  const measured = rows.filter(({ suite }) => suite !== 'limits');
  const names = [...new Set(measured.map(({ name }) => name))];
  return html`
    ${limits.length > 0 ? device(limits) : nothing} ${standing(measured)}
    ${names.map((name) => family(measured.filter((row) => row.name === name)))}`;
}

function device(limits: readonly Row[]): TemplateResult {
  const [{ adapter, runtime }] = limits as [Row];
  return html`
    <section class="card device">
      <h2>${adapter}</h2>
      <p>${runtime}</p>
      <dl>
        ${limits.map(
          ({ name, shape, gflops, gbps, medianMs }) => html`
            <div>
              <dt>${name}</dt>
              <dd>
                ${
                  gflops !== null
                    ? html`<b>${digits(gflops)}</b> GFLOP/s`
                    : gbps !== null
                      ? html`<b>${digits(gbps)}</b> GB/s`
                      : html`<b>${digits(1000 * (medianMs ?? 0))}</b> µs`
                }
              </dd>
              <span class="what">${shape}</span>
            </div>`,
        )}
      </dl>
    </section>`;
}

function standing(rows: readonly Row[]): TemplateResult | typeof nothing {
  const list = standings(rows);
  if (list.length === 0) return nothing;
  const ahead = list.filter(({ ratio }) => ratio >= 1).length;
  return html`
    <section class="card standing">
      <h2>weft against the best of the others</h2>
      <p>
        <b class="figure">${digits(geometricMean(list.map(({ ratio }) => ratio)))} ×</b>
        as fast, as the geometric mean over ${list.length} ${list.length === 1 ? 'case' : 'cases'}; ahead in ${ahead}.
      </p>
      ${chart(rows, standingsChart(list), 70 + 30 * list.length)}
    </section>`;
}

function family(rows: readonly Row[]): TemplateResult {
  const [{ name }] = rows as [Row];
  return html`
    <section class="card">
      <h2>${name}</h2>
      ${rows.some(({ medianMs }) => medianMs !== null) ? chart(rows, familyChart(rows), 300) : nothing}
      ${tables(rows).map(table)}
    </section>`;
}

const dark = matchMedia('(prefers-color-scheme: dark)');

/** Drawn anew when there are other rows or colours. */
function chart(rows: readonly Row[], configuration: Parameters<typeof drawChart>[1], height: number): TemplateResult {
  return html`
    <div class="chart" style=${`height: ${height}px`}>
      ${guard([rows.length, dark.matches], () => html`<canvas ${ref((canvas) => canvas && drawChart(canvas as HTMLCanvasElement, configuration))}></canvas>`)}
    </div>`;
}

/** The note, the last of the columns, stands under the contender: it is longer than all others. */
function table(group: Row[]): TemplateResult {
  const [{ shape }] = group as [Row];
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${shape}>
      <table>
        <caption>${shape}</caption>
        <thead>
          <tr>${columns.slice(0, -1).map((column) => html`<th scope="col">${column}</th>`)}</tr>
        </thead>
        <tbody>
          ${fastestFirst(group).map(
            (row) => html`
              <tr class=${row.contender === 'weft' ? 'own' : ''}>
                ${cells(row, group)
                  .slice(0, -1)
                  .map((cell, i) =>
                    i === 0
                      ? html`<th scope="row">${cell}<small class="note">${row.note}</small></th>`
                      : html`<td>${cell}</td>`,
                  )}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}
