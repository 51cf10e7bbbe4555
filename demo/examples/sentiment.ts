import {
  crossEntropy,
  DataLoader,
  models,
  nn,
  noGrad,
  optim,
  padSequences,
  sequenceMask,
  type Tensor,
  tensor,
  where,
} from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, type Lab, Plot, samples } from '../frame/index.ts';

/** Reviews of one opinion; a negation in front of it, however far, turns it round, one behind it is about something else. */
const words = {
  praise: ['good', 'great', 'lovely', 'superb', 'charming', 'clever'],
  blame: ['bad', 'awful', 'dull', 'weak', 'boring', 'clumsy'],
  negation: ['not', 'never', 'hardly'],
  filler: ['the', 'film', 'plot', 'cast', 'music', 'and', 'is', 'was', 'with', 'its', 'a', 'really'],
};
const vocabulary = Object.values(words).flat();
const [shortest, longest, width, batch] = [14, 20, 32, 32];

interface Review {
  readonly words: readonly string[];
  readonly isPraise: boolean;
  /** How many words the negation stands before the opinion; below 0 behind it, 0 where there is none. */
  readonly distance: number;
}

/** What all of them are: of ids [B, T] and lengths [B] the logits [B, 2]. */
type Classifier = nn.Module & { forward(ids: Tensor, options: { lengths: Tensor }): Tensor };

const ids = { vocabularySize: vocabulary.length, embedding: width };
const dilated = [1, 2, 4, 8].map((dilation) => ({ width: 3, dilation }));
const classifiers = {
  'bag of words': { colour: colours.grey, make: () => new BagOfWords() },
  'padded FCNN': { colour: colours.yellow, make: () => new Padded() },
  'TDNN, width 3': {
    colour: colours.orange,
    make: () => new models.TDNN({ ...ids, layers: [{ width: 3 }], channels: width, classes: 2 }),
  },
  'dilated TDNN': {
    colour: colours.green,
    make: () => new models.TDNN({ ...ids, layers: dilated, channels: width, classes: 2 }),
  },
  LSTM: {
    colour: colours.blue,
    make: () => new models.SequenceClassifier({ ...ids, cell: 'lstm', hidden: width, classes: 2 }),
  },
} satisfies Record<string, { colour: string; make: () => Classifier }>;
type Name = keyof typeof classifiers;
const seeingAll: readonly Name[] = ['dilated TDNN', 'LSTM'];

export default example({
  claim: 'Two words decide together, however far they are apart: what sees no order, or a window of it, misses that',
  paper: 'Waibel et al. 1989; Hochreiter and Schmidhuber 1997',
  full: {
    settings: { names: Object.keys(classifiers) as Name[], steps: 600 },
    bars: {
      LSTM: atLeast(0.95),
      'dilated TDNN': atLeast(0.95),
      'bag of words': atMost(0.85),
      'padded FCNN': atMost(0.85),
      'TDNN, width 3': atMost(0.85),
    },
  },
  reduced: {
    settings: { names: ['bag of words', 'TDNN, width 3', 'dilated TDNN'] as Name[], steps: 400 },
    bars: { 'dilated TDNN': atLeast(0.85), 'bag of words': atMost(0.85), 'TDNN, width 3': atMost(0.85) },
  },
  async run(lab, { names, steps }) {
    const reviews = [...samples(review, lab.draw(), 2000)];
    const tests = [...samples(review, lab.draw(), 2000)];
    const rows: { name: Name; hits: readonly boolean[] }[] = [];
    for (const name of names) rows.push({ name, hits: await learn(lab, name, steps, reviews, tests) });
    const accuracy = (hits: readonly boolean[]) => hits.filter((hit) => hit).length / hits.length;
    const figures = (isMetric: boolean) =>
      Object.fromEntries(
        rows.flatMap(({ name, hits }) => (seeingAll.includes(name) === isMetric ? [[name, accuracy(hits)]] : [])),
      );
    const places = Array.from({ length: 12 }, (_, i) => i + 1);
    const byDistance = rows.flatMap(({ name, hits }) =>
      places.map((distance) => ({
        ...{ name, distance, colour: classifiers[name].colour },
        accuracy: accuracy(hits.filter((_, i) => tests[i]?.distance === distance)),
      })),
    );
    return {
      metrics: figures(true),
      baseline: figures(false),
      picture: {
        title: 'Praise, or the negation of it',
        description:
          `Accuracy of ${rows.length} classifiers of reviews: ${rows.map(({ name, hits }) => `${name} ${accuracy(hits).toFixed(2)}`).join(', ')}. ` +
          'On the right the same for reviews with a negation before the opinion, against how many words lie between: ' +
          'the window of width 3 ends at a distance of 2.',
        legend: Object.fromEntries(rows.map(({ name }) => [name, classifiers[name].colour])),
        charts: [
          {
            marginLeft: 100,
            x: { label: 'accuracy', domain: [0, 1], grid: true },
            y: { label: null, domain: names },
            marks: [
              Plot.barX(rows, {
                x: ({ hits }) => accuracy(hits),
                y: 'name',
                fill: ({ name }: { name: Name }) => classifiers[name].colour,
              }),
              Plot.text(rows, {
                ...{ x: ({ hits }) => accuracy(hits), y: 'name', text: ({ hits }) => accuracy(hits).toFixed(2) },
                ...{ textAnchor: 'end', dx: -6, fill: 'white' },
              }),
            ],
          },
          {
            x: { label: 'words from the negation to the opinion', ticks: places },
            y: { label: 'accuracy', domain: [0, 1], grid: true },
            marks: [
              Plot.line(byDistance, { x: 'distance', y: 'accuracy', z: 'name', stroke: 'colour', strokeWidth: 2 }),
              Plot.dot(byDistance, { x: 'distance', y: 'accuracy', fill: 'colour', r: 3 }),
            ],
          },
        ],
      },
    };
  },
});

/** The mean of the words, wherever they stand. */
class BagOfWords extends nn.Module {
  readonly embedding = new nn.Embedding(vocabulary.length, width);
  readonly layers = new nn.Sequential(new nn.Linear(width, width), new nn.ReLU(), new nn.Linear(width, 2));

  forward(ids: Tensor, { lengths }: { lengths: Tensor }): Tensor {
    return this.layers.forward(within(lengths, this.embedding.forward(ids)).mean(1));
  }
}

/** Each place has weights of its own; what is behind the end is 0. */
class Padded extends nn.Module {
  readonly embedding = new nn.Embedding(vocabulary.length, width);
  readonly layers = new nn.Sequential(
    ...[new nn.Flatten(), new nn.Linear(longest * width, 2 * width), new nn.ReLU(), new nn.Linear(2 * width, 2)],
  );

  forward(ids: Tensor, { lengths }: { lengths: Tensor }): Tensor {
    return this.layers.forward(within(lengths, this.embedding.forward(ids)));
  }
}

/** x [B, T, E] with zeros behind the ends. */
const within = (lengths: Tensor, x: Tensor) => where(sequenceMask(lengths, longest).unsqueeze(2), x, 0);

/** Trains a classifier, and says for each of the tests whether it is right. */
async function learn(
  lab: Lab,
  name: Name,
  steps: number,
  reviews: readonly Review[],
  tests: readonly Review[],
): Promise<boolean[]> {
  const model: Classifier = classifiers[name].make();
  const optimizer = new optim.Adam(model.parameters(), { lr: 5e-3 });
  const loss = (ids: Tensor, lengths: Tensor, targets: Tensor) =>
    crossEntropy(model.forward(ids, { lengths }), targets);
  const batches = new DataLoader(reviews, { batchSize: batch, shuffle: true, dropLast: true, seed: lab.seed, collate });
  await lab.train(name, { step: { loss, optimizer, clip: 1 }, batches, steps, schedule: optim.cosine({ steps }) });

  const [ids, lengths] = collate(tests);
  const found = await noGrad(() => model.forward(ids, { lengths }))
    .argMax(1)
    .data();
  return tests.map(({ isPraise }, i) => found[i] === Number(isPraise));
}

/** Ids [B, T], lengths [B], and 1 for praise [B] */
function collate(reviews: readonly Review[]): [ids: Tensor, lengths: Tensor, targets: Tensor] {
  const idsOf = ({ words }: Review) => words.map((word) => vocabulary.indexOf(word));
  const { values, lengths } = padSequences(reviews.map(idsOf), { length: longest, dtype: 'i32' });
  const targets = tensor(
    reviews.map(({ isPraise }) => Number(isPraise)),
    { dtype: 'i32' },
  );
  return [values, lengths, targets];
}

function review(draw: Draw): Review {
  const length = shortest + draw.below(longest - shortest + 1);
  const text = Array.from({ length }, () => draw.pick(words.filler));
  const seemsPraise = draw.chance(0.5);
  // Neither is near an end, where even a short window would see on which side of it the rest must be.
  const places = Array.from({ length: length - 4 }, (_, i) => i + 2);
  const [opinion, negation] = draw.shuffled(places) as [number, number];
  text[opinion] = draw.pick(seemsPraise ? words.praise : words.blame);
  let distance = 0;
  if (draw.chance(0.5)) {
    text[negation] = draw.pick(words.negation);
    distance = opinion - negation;
  }
  return { words: text, isPraise: seemsPraise !== distance > 0, distance };
}
