import { DataLoader, models, optim, padSequences, type Tensor } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, type Lab, Plot, samples, shifted } from '../frame/index.ts';

/** Letters of the source, and what each becomes; the end of a text, which it is begun with, too. */
const letters = 'abcdefghijklmnop';
const mapped = 'QWERTYUIOPASDFGH';
const [end, shortest, longest] = [0, 4, 9];
const [embedding, batch] = [16, 64];

/** A string of letters, as ids from 1 on, and its translation: each letter mapped, the last one first. */
interface Pair {
  readonly source: readonly number[];
  readonly target: readonly number[];
}

const readers = {
  'a fixed vector': { attention: 'none', colour: colours.orange },
  attention: { attention: 'additive', colour: colours.blue },
} as const;
type Name = keyof typeof readers;
const names = Object.keys(readers) as Name[];

export default example({
  claim:
    'A vector of fixed size holds a short sentence and fails on a long one, where a decoder that looks back does not',
  paper: 'Cho et al. 2014; Bahdanau, Cho and Bengio 2015',
  full: {
    settings: { hidden: 32, steps: 600, tests: 200 },
    bars: {
      'exact from 7 letters on, attention': atLeast(0.85),
      'exact from 7 letters on, a fixed vector': atMost(0.2),
    },
  },
  reduced: {
    settings: { hidden: 64, steps: 200, tests: 30 },
    bars: {
      'exact from 7 letters on, attention': atLeast(0.8),
      'exact from 7 letters on, a fixed vector': atMost(0.2),
    },
  },
  async run(lab, { hidden, steps, tests: count }) {
    const draw = lab.draw();
    const lengths = Array.from({ length: longest - shortest + 1 }, (_, i) => shortest + i);
    const tests = lengths.flatMap((length) => [...samples((each) => pair(each, length), draw, count)]);
    const results = new Map<Name, readonly models.Hypothesis[]>();
    for (const name of names) results.set(name, await learn(lab, name, hidden, steps, tests));

    const isExact = (name: Name, i: number) =>
      results.get(name)?.[i]?.ids.join() === [...(tests[i] as Pair).target, end].join();
    const share = (name: Name, wanted: (length: number) => boolean) => {
      const chosen = tests.flatMap(({ source }, i) => (wanted(source.length) ? [i] : []));
      return chosen.filter((i) => isExact(name, i)).length / chosen.length;
    };
    const rows = names.flatMap((name) =>
      lengths.map((length) => ({
        name,
        length,
        exact: share(name, (each) => each === length),
        colour: readers[name].colour,
      })),
    );
    const figure = (name: Name) => ({ [`exact from 7 letters on, ${name}`]: share(name, (length) => length >= 7) });
    const shown = tests.length - 1;
    const best = results.get('attention')?.[shown] as models.Hypothesis;
    const cells = (best.alignment ?? []).flatMap((weights, t) =>
      [...weights].slice(0, longest).map((weight, s) => ({ t, s, weight })),
    );
    const source = (tests[shown] as Pair).source.map((id) => letters[id - 1]).join('');
    const written = best.ids.map((id) => (id === end ? '⏎' : mapped[id - 1])).join('');
    return {
      metrics: figure('attention'),
      baseline: figure('a fixed vector'),
      picture: {
        title: 'Strings turned around and mapped, letter by letter',
        description:
          `The share of strings that are translated without a fault, by their length: ${rows.map(({ name, length, exact }) => `${exact.toFixed(2)} of ${length} letters with ${name}`).join(', ')}. ` +
          `On the right what each letter of ${written} has looked at in ${source}: the weights lie along the other diagonal.`,
        legend: Object.fromEntries(names.map((name) => [name, readers[name].colour])),
        charts: [
          {
            x: { label: 'letters', ticks: lengths, tickFormat: 'd', domain: [shortest - 0.5, longest + 0.5] },
            y: { label: 'translated without a fault', domain: [0, 1], grid: true },
            marks: [
              Plot.line(rows, { x: 'length', y: 'exact', stroke: 'colour', strokeWidth: 2 }),
              Plot.dot(rows, { x: 'length', y: 'exact', fill: 'colour', r: 5 }),
            ],
          },
          {
            width: 340,
            x: { axis: 'top', label: 'source', tickSize: 0, tickFormat: (s: number) => source[s] as string },
            y: { label: 'written', tickSize: 0, tickFormat: (t: number) => written[t] as string },
            color: { range: ['#f4f4f4', colours.blue], domain: [0, 1] },
            marks: [Plot.cell(cells, { x: 's', y: 't', fill: 'weight', inset: 1 })],
          },
        ],
      },
    };
  },
});

/** Trains a model on strings of all lengths, and gives its translations of the tests. */
async function learn(
  lab: Lab,
  name: Name,
  hidden: number,
  steps: number,
  tests: readonly Pair[],
): Promise<models.Hypothesis[]> {
  const { attention } = readers[name];
  const sizes = { sourceVocabulary: letters.length + 1, targetVocabulary: mapped.length + 1, embedding, hidden };
  const model = new models.Seq2Seq({ ...sizes, attention });
  const optimizer = new optim.Adam(model.parameters(), { lr: 5e-3 });
  const loss = (source: Tensor, lengths: Tensor, inputs: Tensor, targets: Tensor, targetLengths: Tensor) =>
    model.loss(source, inputs, targets, { lengths, targetLengths });
  const draw = lab.draw();
  const batches = new DataLoader(() => samples((each) => pair(each), draw), { batchSize: batch, collate });
  await lab.train(name, { step: { loss, optimizer, clip: 1 }, batches, steps, schedule: optim.cosine({ steps }) });

  const [source, lengths] = collate(tests);
  const found = await model.translate(source, { lengths, beams: 1, maxLength: longest + 1, eos: end });
  return found.map(([best]) => best as models.Hypothesis);
}

/** Sources [B, S] and their lengths [B], the ids before each step [B, T], those after it, and their lengths. */
function collate(
  pairs: readonly Pair[],
): [source: Tensor, lengths: Tensor, inputs: Tensor, targets: Tensor, own: Tensor] {
  const sources = pairs.map(({ source }) => source);
  const source = padSequences(sources, { length: longest, dtype: 'i32' });
  const targets = pairs.map(({ target }) => target);
  return [source.values, source.lengths, ...shifted(targets, end, longest + 1)];
}

function pair(draw: Draw, length = shortest + draw.below(longest - shortest + 1)): Pair {
  const source = Array.from({ length }, () => 1 + draw.below(letters.length));
  return { source, target: source.toReversed() };
}
