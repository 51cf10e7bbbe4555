import { DataLoader, models, noGrad, optim, padSequences, type Tensor } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, type Lab, Plot, samples } from '../frame/index.ts';

/** Names that may be a person's, a place's or a company's, and the words that tell which. */
const names = ['Jordan', 'Chelsea', 'Austin', 'Lincoln', 'Carter', 'Ford', 'Hilton', 'Madison', 'Sydney', 'Paris'];
const types = ['PER', 'LOC', 'ORG'] as const;
type Type = (typeof types)[number];
/** What stands before a name of the type, and after it. */
const before: Record<Type, readonly string[]> = {
  PER: ['Mr', 'Dr', 'Lady'],
  LOC: ['in', 'near', 'from'],
  ORG: ['at', 'for', 'buys'],
};
const after: Record<Type, readonly string[]> = {
  PER: ['said', 'smiled', 'slept'],
  LOC: ['Street', 'River', 'County'],
  ORG: ['Inc', 'shares', 'hired'],
};
const others = ['the', 'then', 'yesterday', 'again', 'and', 'a', 'new', 'old', 'today', 'late'];
const vocabulary = [...names, ...Object.values(before).flat(), ...Object.values(after).flat(), ...others];
/** O is no name; B-PER begins one, and I-PER goes on. */
const tags = ['O', ...types.flatMap((type) => [`B-${type}`, `I-${type}`])];
const [longest, width, batch] = [24, 32, 32];

/** Words, and the tag of each. */
interface Sentence {
  readonly words: readonly string[];
  readonly tags: readonly string[];
}

export default example({
  claim: 'What a name means is often said by the word behind it, which only a model that reads both ways has seen',
  paper: 'Schuster and Paliwal 1997; Lample et al. 2016',
  full: {
    settings: { steps: 400 },
    bars: { 'F1, bidirectional': atLeast(0.97), 'F1, forward': atMost(0.85) },
  },
  reduced: {
    settings: { steps: 200 },
    bars: { 'F1, bidirectional': atLeast(0.9), 'F1, forward': atMost(0.85) },
  },
  async run(lab, { steps }) {
    const tests = [...samples(sentence, lab.draw(), 500)];
    const shown = sentence(lab.draw(), 3);
    const forward = await learn(lab, false, steps, [...tests, shown]);
    const both = await learn(lab, true, steps, [...tests, shown]);
    const scores = (found: readonly (readonly string[])[], type?: Type) =>
      f1(
        tests.map(({ tags }) => tags),
        found,
        type,
      );
    const directions = [
      { name: 'forward', found: forward, colour: colours.orange },
      { name: 'bidirectional', found: both, colour: colours.blue },
    ];
    const bars = directions.flatMap(({ found, ...direction }) =>
      types.map((type) => ({ ...direction, type, score: scores(found, type) })),
    );
    const figures = (name: string) => ({
      [`F1, ${name}`]: scores(name === 'forward' ? forward : both),
      ...Object.fromEntries(
        bars.filter((bar) => bar.name === name).map(({ type, score }) => [`${type}, ${name}`, score]),
      ),
    });
    const lines = [
      { name: 'true', found: shown.tags },
      ...directions.map(({ name, found }) => ({ name, found: found.at(-1) as readonly string[] })),
    ];
    const cells = lines.flatMap(({ name, found }) =>
      shown.words.map((word, t) => ({
        ...{ name, t, word, tag: found[t] as string },
        isWrong: found[t] !== shown.tags[t],
      })),
    );
    return {
      metrics: figures('bidirectional'),
      baseline: figures('forward'),
      picture: {
        title: 'Names, and whose they are',
        description:
          `F1 of the names of each type: ${bars.map(({ name, type, score }) => `${score.toFixed(2)} for ${type}, ${name}`).join(', ')}. ` +
          `On the right a sentence, ${shown.words.join(' ')}, with its tags, and those that either model gives; wrong ones are framed.`,
        legend: Object.fromEntries(directions.map(({ name, colour }) => [name, colour])),
        charts: [
          {
            x: { axis: null, domain: directions.map(({ name }) => name) },
            fx: { label: null, domain: types },
            y: { label: 'F1', domain: [0, 1], grid: true },
            marks: [
              Plot.barY(bars, { x: 'name', fx: 'type', y: 'score', fill: 'colour' }),
              Plot.text(bars, {
                ...{ x: 'name', fx: 'type', y: 'score', text: ({ score }) => score.toFixed(2) },
                ...{ dy: 10, fill: 'white' },
              }),
            ],
          },
          {
            width: 110 + 64 * shown.words.length,
            marginLeft: 90,
            x: { axis: 'top', label: null, tickSize: 0, tickFormat: (t: number) => shown.words[t] as string },
            y: { label: null, domain: lines.map(({ name }) => name), tickSize: 0 },
            color: { domain: ['O', ...types], range: ['#eeeeee', colours.sky, colours.green, colours.yellow] },
            marks: [
              Plot.cell(cells, {
                ...{ x: 't', y: 'name', fill: ({ tag }: { tag: string }) => tag.split('-').at(-1), inset: 2 },
                ...{
                  stroke: ({ isWrong }: { isWrong: boolean }) => (isWrong ? colours.orange : 'none'),
                  strokeWidth: 3,
                },
              }),
              Plot.text(cells, { x: 't', y: 'name', text: 'tag' }),
            ],
          },
        ],
      },
    };
  },
});

/** Trains a tagger, and gives the tags that it finds for the words of each of the tests. */
async function learn(
  lab: Lab,
  bidirectional: boolean,
  steps: number,
  tests: readonly Sentence[],
): Promise<(readonly string[])[]> {
  const sizes = { vocabularySize: vocabulary.length, embedding: width, hidden: width, classes: tags.length };
  const model = new models.SequenceTagger({ ...sizes, cell: 'lstm', bidirectional });
  const optimizer = new optim.Adam(model.parameters(), { lr: 5e-3 });
  const loss = (ids: Tensor, lengths: Tensor, targets: Tensor) => model.loss(ids, targets, { lengths });
  const draw = lab.draw();
  const batches = new DataLoader(() => samples((each) => sentence(each), draw), { batchSize: batch, collate });
  const label = bidirectional ? 'both directions' : 'forward';
  await lab.train(label, { step: { loss, optimizer, clip: 1 }, batches, steps, schedule: optim.cosine({ steps }) });

  const [ids, lengths] = collate(tests);
  const found = await noGrad(() => model.forward(ids, { lengths }))
    .argMax(2)
    .data(); // [B, T]
  return tests.map(({ words }, b) => words.map((_, t) => tags[found[b * longest + t] as number] as string));
}

/** Ids [B, T], lengths [B], tags [B, T] */
function collate(sentences: readonly Sentence[]): [ids: Tensor, lengths: Tensor, targets: Tensor] {
  const padded = (of: (sentence: Sentence) => readonly number[]) =>
    padSequences(sentences.map(of), { length: longest, dtype: 'i32' });
  const { values, lengths } = padded(({ words }) => words.map((word) => vocabulary.indexOf(word)));
  const targets = padded((each) => each.tags.map((tag) => tags.indexOf(tag)));
  return [values, lengths, targets.values];
}

/** Names of one or two words among others. What tells the type stands before some of them, and behind the others. */
function sentence(draw: Draw, count = 1 + draw.below(3)): Sentence {
  const tagged: (readonly [word: string, tag: string])[] = [];
  const other = (list: readonly string[]) => tagged.push([draw.pick(list), 'O']);
  for (let i = 0; i < count; i++) {
    const type = draw.pick(types);
    const isToldBefore = draw.chance(0.5);
    other(others);
    if (isToldBefore) other(before[type]);
    tagged.push([draw.pick(names), `B-${type}`]);
    if (draw.chance(0.4)) tagged.push([draw.pick(names), `I-${type}`]);
    if (!isToldBefore) other(after[type]);
    if (draw.chance(0.5)) other(others);
  }
  return { words: tagged.map(([word]) => word), tags: tagged.map(([, tag]) => tag) };
}

/** The harmonic mean of precision and recall over whole names, of one type or of all. */
function f1(wanted: readonly (readonly string[])[], found: readonly (readonly string[])[], type?: Type): number {
  const spans = (lists: readonly (readonly string[])[]) =>
    new Set(
      lists.slice(0, wanted.length).flatMap((list, i) =>
        list.flatMap((tag, t) => {
          if (tag.startsWith('B-') && (type === undefined || tag === `B-${type}`)) {
            const inside = tag.replace('B-', 'I-');
            let end = t + 1;
            while (list[end] === inside) end++;
            return [`${i} ${t} ${end} ${tag}`];
          }
          return [];
        }),
      ),
    );
  const [all, given] = [spans(wanted), spans(found)];
  return (2 * [...given].filter((span) => all.has(span)).length) / (all.size + given.size);
}
