/** `npm run results`: puts a table of the files in bench/results/ into the README, between its two marks. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './machine.mjs';

/** @typedef {import('../bench/rows.ts').Row} Row */

const [begin, end] = ['<!-- results: made by `npm run results` -->', '<!-- end of results -->'];
const folder = join(root, 'bench/results');
const readme = join(root, 'README.md');

const tables = readdirSync(folder)
  .filter((file) => file.endsWith('.json') && !file.startsWith('scaling'))
  .map((file) => ({ file, rows: /** @type {Row[]} */ (JSON.parse(readFileSync(join(folder, file), 'utf8'))) }))
  .map(({ file, rows }) => tableOf(file, rows));
const text = readFileSync(readme, 'utf8');
const [before, after] = [text.indexOf(begin), text.indexOf(end)];
if (before < 0 || after < before) throw new Error(`README.md lacks the marks ${begin} and ${end}`);
writeFileSync(readme, `${text.slice(0, before)}${begin}\n\n${tables.join('\n\n')}\n\n${text.slice(after)}`);
console.log(`README.md shows ${tables.length} ${tables.length === 1 ? 'file' : 'files'} of bench/results.`);

/**
 * weft against the best of the others, a line for each size.
 * @param {string} file
 * @param {readonly Row[]} rows
 */
function tableOf(file, rows) {
  const [{ adapter, runtime }] = /** @type {[Row]} */ (rows);
  const shapes = [
    ...new Set(rows.filter(({ suite }) => suite !== 'limits').map(({ name, shape }) => `${name}\n${shape}`)),
  ];
  const lines = shapes.flatMap((key) => {
    const [name, shape] = key.split('\n');
    const group = rows.filter((row) => row.name === name && row.shape === shape);
    const weft = group.find(({ contender }) => contender === 'weft');
    const peer = group
      .filter(({ contender, medianMs }) => !contender.startsWith('weft') && medianMs !== null)
      .sort((a, b) => Number(a.medianMs) - Number(b.medianMs))[0];
    if (!weft?.medianMs) return [];
    const best = peer?.medianMs ? `${milliseconds(peer.medianMs)} (${peer.contender})` : '';
    const ratio = peer?.medianMs ? `${(peer.medianMs / weft.medianMs).toFixed(1)} ×` : '';
    return [`| ${name} | ${shape} | ${milliseconds(weft.medianMs)} | ${best} | ${ratio} |`];
  });
  const head = ['| work | size | weft | best peer | weft is faster by |', '|---|---|---:|---:|---:|'];
  return [`**${adapter}, ${runtime}** ([all figures](bench/results/${file}))`, '', ...head, ...lines].join('\n');
}

/** @param {number} value */
function milliseconds(value) {
  return `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ms`;
}
