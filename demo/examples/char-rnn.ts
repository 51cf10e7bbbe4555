import { DataLoader, models, type nn, noGrad, optim, readAll, type Tensor, tensor, text } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, JobError, type Lab, Plot, samples } from '../frame/index.ts';

/** What stands between two pieces of a text. */
const gap = '\n\n';
/** Beginnings of pieces of LaTeX, for the model to go on from. */
export const beginnings = [
  '\\section{',
  '\\begin{theorem}',
  '\\begin{proof}\n',
  '\\begin{itemize}\n',
  'Let $',
  'See Definition~\\ref{',
];
/** Characters that are written for a piece, at most. */
const longest = 320;
const [batch, window, embedding, temperature] = [16, 100, 32, 0.5];

export default example({
  claim: 'A recurrent network that reads a text character by character learns what is open in it, and closes it',
  paper: 'Graves 2013; Karpathy, Johnson and Fei-Fei 2016',
  full: {
    settings: { steps: 2000, hidden: 96, characters: 300_000, pieces: 100 },
    bars: {
      'validation, nats per character': atMost(0.75),
      'bigram, nats per character': atLeast(1.1),
      'pieces that are balanced': atLeast(0.8),
      'pieces that are balanced, bigram': atMost(0.3),
    },
  },
  reduced: {
    settings: { steps: 150, hidden: 64, characters: 60_000, pieces: 12 },
    bars: { 'validation, nats per character': atMost(0.9), 'bigram, nats per character': atLeast(1.1) },
  },
  text: { 'nats less than a bigram model': atLeast(0) },
  async run(lab, { steps, hidden, characters, pieces }) {
    const corpus = lab.text ?? latex(lab.draw(), characters);
    const vocabulary = new text.CharVocabulary(corpus);
    const { train, validation } = text.trainValidationSplit(vocabulary.encode(corpus));
    if (train.length <= batch * window)
      throw new JobError(
        `the text is too short: its first nine tenths are ${train.length} characters, and a batch takes ${batch * window + 1}`,
      );
    const bigram = text.bigramLoss(train, validation, vocabulary.size);

    const sizes = { vocabularySize: vocabulary.size, embedding, hidden };
    const model = new models.CharRNN({ ...sizes, cell: 'gru' });
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
    const batches = new DataLoader([...text.windows(train, { batch: 1, length: window })], {
      ...{ batchSize: batch, shuffle: true, dropLast: true, seed: lab.seed },
    });
    const validated: { step: number; loss: number }[] = [];
    const losses = await lab.train('GRU', {
      step: { loss: (ids: Tensor, targets: Tensor) => model.loss(ids, targets), optimizer, clip: 1 },
      ...{ batches, steps, schedule: optim.cosine({ steps }) },
      evaluate: async (step) => validated.push({ step, loss: await lossOf(model, validation) }),
      every: Math.ceil(steps / 8),
    });
    const reached = validated.at(-1)?.loss as number;
    const unit = await tellingUnit(model, vocabulary, vocabulary.decode(validation.subarray(0, 4000)));

    const metrics = {
      'validation, nats per character': reached,
      'nats less than a bigram model': bigram - reached,
      'correlation of a unit with what is open': Math.abs(unit.correlation),
    };
    const baseline = {
      'bigram, nats per character': bigram,
      'guessing, nats per character': Math.log(vocabulary.size),
    };
    const picture = {
      title: 'A text, character by character',
      description:
        `The loss of a GRU falls to ${reached.toFixed(2)} nats per character of a text that it was not trained on, where a bigram model has ${bigram.toFixed(2)}. ` +
        `On the right that text, coloured by the activation of unit ${unit.index}, whose correlation with being ${unit.state} is ${unit.correlation.toFixed(2)}.`,
      legend: {
        ...{ training: colours.sky, validation: colours.blue, bigram: colours.grey },
        ...{ 'activation 1': colours.green, 'activation -1': colours.orange },
      },
      charts: [curves(losses, validated, bigram), coloured(unit)],
    };
    if (lab.text !== null) {
      const draw = lab.draw();
      const prompts = [...samples(() => draw.below(validation.length - 32), draw, 3)].map((start) =>
        vocabulary.decode(validation.subarray(start, start + 32)),
      );
      const written = await write(model, vocabulary, prompts, lab.seed);
      tell(
        lab,
        written.map((each, i) => `${prompts[i]} ▸ ${each}`),
      );
      return { metrics, baseline, picture };
    }
    const begun = Array.from({ length: pieces }, (_, i) => beginnings[i % beginnings.length] as string);
    const written = await write(
      model,
      vocabulary,
      begun.map((beginning) => gap + beginning),
      lab.seed,
    );
    const counted = count(corpus, begun, lab.draw());
    const share = (ends: readonly string[]) => begun.filter((each, i) => isPiece(each + ends[i])).length / pieces;
    tell(
      lab,
      beginnings.map((beginning, i) => beginning + written[i]),
    );
    return {
      metrics: { ...metrics, 'pieces that are balanced': share(written) },
      baseline: { ...baseline, 'pieces that are balanced, bigram': share(counted) },
      picture,
    };
  },
});

/** Mean loss over the ids, in nats per character, in windows of their own. */
async function lossOf(model: models.CharRNN, ids: Int32Array): Promise<number> {
  const length = Math.min(512, ids.length - 1);
  const parts = [...text.windows(ids, { batch: 16, length })].map(([inputs, targets]) => {
    const shape = [inputs.length / length, length];
    const [x, y] = [tensor(inputs, { shape }), tensor(targets, { shape })];
    return { size: targets.length, loss: noGrad(() => model.loss(x, y)) };
  });
  const values = await readAll(parts.map(({ loss }) => loss));
  const sum = parts.reduce((sum, { size }, i) => sum + size * Number(values[i]?.[0]), 0);
  return sum / parts.reduce((sum, { size }) => sum + size, 0);
}

/** What the model writes after each of the prompts, all at a time: up to a gap, or as far as it may go. */
async function write(
  model: models.CharRNN,
  vocabulary: text.CharVocabulary,
  prompts: readonly string[],
  seed: number,
): Promise<string[]> {
  const written = prompts.map(() => '');
  const prompt = prompts.map((each) => vocabulary.encode(each));
  for await (const chunk of models.generate(model, { prompt, maxTokens: longest, temperature, seed })) {
    for (const [i, ids] of chunk.entries()) written[i] += vocabulary.decode(ids);
    if (written.every((each) => each.includes(gap))) break;
  }
  return written.map(upToGap);
}

/** What a bigram model writes: after each character one that comes after it at some place of the corpus. */
function count(corpus: string, beginnings: readonly string[], draw: Draw): string[] {
  const places = Map.groupBy(Array(corpus.length - 1).keys(), (i) => corpus[i] as string);
  return beginnings.map((beginning) => {
    let written = beginning;
    while (!written.endsWith(gap) && written.length < longest)
      written += corpus[draw.pick(places.get(written.at(-1) as string) as number[]) + 1];
    return written.slice(beginning.length);
  });
}

const upToGap = (written: string) => (written.includes(gap) ? written.slice(0, written.indexOf(gap) + 2) : written);
/** Whether a piece has come to its end, and is balanced. */
const isPiece = (written: string) => written.endsWith(gap) && isBalanced(written);

function tell(lab: Lab, texts: readonly string[]): void {
  for (const each of texts) lab.print(`\n${each.trimEnd().replace(/^/gm, '    ')}`);
}

/** What is open at each character of a text, and a unit that tells. */
interface Unit {
  readonly index: number;
  /** What it tells. */
  readonly state: string;
  readonly correlation: number;
  readonly characters: readonly string[];
  /** After each of the characters. */
  readonly activations: readonly number[];
}

/** The unit whose activation has the largest correlation with being inside a pair of signs, or with the place in the line. */
async function tellingUnit(model: models.CharRNN, vocabulary: text.CharVocabulary, given: string): Promise<Unit> {
  // A window may begin in the midst of something.
  const read = given.slice(given.includes(gap) ? given.indexOf(gap) + gap.length : 0);
  const characters = [...read];
  const ids = tensor(vocabulary.encode(read), { shape: [characters.length, 1] }); // [T, 1]
  const [output] = noGrad(() => (model.gru as nn.GRU).forward(model.embedding.forward(ids)));
  const values = await output.data(); // [T, 1, H]
  const hidden = model.config.hidden;
  const activationsOf = (index: number) => characters.map((_, t) => values[t * hidden + index] as number);
  const pairs = ['$$', '{}', '()', '[]', '""'].map((pair) => ({
    state: `inside ${pair[0]}…${pair[1]}`,
    marks: inside(characters, pair),
  }));
  // What is hardly ever open, or hardly ever not, tells little.
  const common = pairs.filter(({ marks }) => Math.abs(mean(marks) - 0.5) < 0.45);
  const states = common.length > 0 ? common : [{ state: 'far in the line', marks: placesInLine(characters) }];
  const candidates = states.flatMap(({ state, marks }) =>
    Array.from({ length: hidden }, (_, index) => {
      const activations = activationsOf(index);
      return { index, state, correlation: correlation(activations, marks), characters, activations };
    }),
  );
  return candidates.reduce((best, each) => (Math.abs(each.correlation) > Math.abs(best.correlation) ? each : best));
}

/** 1 where the pair is open after a character, else 0; a gap closes all. */
function inside(characters: readonly string[], [opening, closing]: string): number[] {
  let depth = 0;
  return characters.map((character, i) => {
    if (character === closing && depth > 0) depth--;
    else if (character === opening) depth++;
    else if (character === '\n' && characters[i - 1] === '\n') depth = 0;
    return Math.min(depth, 1);
  });
}

function placesInLine(characters: readonly string[]): number[] {
  let start = 0;
  return characters.map((character, i) => {
    if (character === '\n') start = i + 1;
    return i - start;
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Pearson's; 0 where one of the two never changes. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [mean(a), mean(b)];
  const products = (x: readonly number[], y: readonly number[], mx: number, my: number) =>
    mean(x.map((value, i) => (value - mx) * ((y[i] as number) - my)));
  const size = Math.sqrt(products(a, a, meanA, meanA) * products(b, b, meanB, meanB));
  return size > 0 ? products(a, b, meanA, meanB) / size : 0;
}

/** Losses against the step. */
function curves(
  losses: readonly number[],
  validated: readonly { step: number; loss: number }[],
  bigram: number,
): Plot.PlotOptions {
  const training = losses.map((loss, i) => ({ step: i + 1, loss }));
  return {
    x: { label: 'step' },
    y: { label: 'nats per character', domain: [0, Math.max(...losses)], grid: true },
    marks: [
      Plot.ruleY([bigram], { stroke: colours.grey, strokeDasharray: '4 4' }),
      Plot.lineY(training, { x: 'step', y: 'loss', stroke: colours.sky }),
      Plot.lineY(validated, { x: 'step', y: 'loss', stroke: colours.blue, strokeWidth: 2 }),
      Plot.dot(validated, { x: 'step', y: 'loss', fill: colours.blue, r: 4 }),
    ],
  };
}

/** The first lines of the text, each character on the colour of the activation after it. */
function coloured({ characters, activations }: Unit): Plot.PlotOptions {
  const [columns, rows] = [64, 16];
  let [x, y] = [0, 0];
  const cells = characters.flatMap((character, i) => {
    const cell = { x, y, character: character === '\n' ? '⏎' : character, activation: activations[i] as number };
    [x, y] = character === '\n' || x === columns - 1 ? [0, y + 1] : [x + 1, y];
    return cell.y < rows ? [cell] : [];
  });
  return {
    ...{ width: 12 * columns + 10, height: 20 * rows, margin: 5 },
    x: { axis: null, domain: Array.from({ length: columns }, (_, i) => i) },
    y: { axis: null, domain: Array.from({ length: rows }, (_, i) => i) },
    color: { type: 'linear', domain: [-1, 0, 1], range: [colours.orange, '#ffffff', colours.green] },
    marks: [
      Plot.cell(cells, { x: 'x', y: 'y', fill: 'activation', fillOpacity: 0.6 }),
      Plot.text(cells, { x: 'x', y: 'y', text: 'character', fontFamily: 'monospace', fontSize: 13 }),
    ],
  };
}

const nouns = ['space', 'group', 'set', 'map', 'field', 'ring', 'graph', 'module'];
const verbs = ['contains', 'admits', 'meets', 'covers'];
/** Pieces of a mathematical text in LaTeX, each balanced, with a gap behind each. */
export function latex(draw: Draw, characters: number): string {
  let written = '';
  while (written.length < characters) written += piece(draw) + gap;
  return written;
}

/** A piece of one of eight kinds; each environment has sentences of its own. */
function piece(draw: Draw): string {
  const [noun, other, verb] = [draw.pick(nouns), draw.pick(nouns), draw.pick(verbs)];
  const number = () => 1 + draw.below(9);
  const math = () => `$${formula(draw)}$`;
  const makers = [
    () => `\\section{On a ${noun}}\\label{sec:${number()}}`,
    () => environment('theorem', `Each ${noun} ${math()} ${verb} a ${other}.`, `\\label{thm:${number()}}`),
    () => environment('definition', `A ${noun} is \\emph{a ${other}} if ${math()}.`, `\\label{def:${number()}}`),
    () => environment('proof', `By Theorem~\\ref{thm:${number()}}, we have ${math()}.`),
    () => environment('proof', `We solve\n${environment('equation', `${formula(draw)} = ${formula(draw)}`)}`),
    () => environment('itemize', [...samples(item, draw, 1 + draw.below(3))].join('\n')),
    () => `Let ${math()} be a ${noun} that ${verb} ${math()}.`,
    () => `See Definition~\\ref{def:${number()}} of a ${noun} in~\\cite{${other}${number()}}.`,
  ];
  return draw.pick(makers)();
}

const environment = (name: string, inside: string, label = '') => `\\begin{${name}}${label}\n${inside}\n\\end{${name}}`;
const item = (draw: Draw) => `\\item a ${draw.pick(nouns)} $${formula(draw)}$`;

/** A formula; others lie within it, `depth` deep at most. */
function formula(draw: Draw, depth = 2): string {
  const letter = draw.pick(['x', 'y', 'n', '\\alpha']);
  if (depth === 0) return letter;
  const part = () => formula(draw, depth - 1);
  const kind = draw.below(6);
  if (kind === 0) return `\\frac{${part()}}{${part()}}`;
  if (kind === 1) return `${letter}_{${part()}}`;
  if (kind === 2) return `\\sqrt{${part()}}`;
  if (kind === 3) return `f(${part()})`;
  return letter;
}

/** Whether all braces, dollars and environments of a piece of LaTeX are closed, the innermost first. */
export function isBalanced(piece: string): boolean {
  const open: string[] = [];
  // A backslash makes the brace or the dollar behind it a plain sign.
  for (const [token, command, name] of piece.matchAll(/\\(begin|end)(?:\{([a-z]*\*?)\})?|\\.|[{}$]/gs)) {
    if (command && !name) return false;
    if (command === 'begin') open.push(name as string);
    else if (command === 'end' || token === '}') {
      if (open.pop() !== (name ?? '{')) return false;
    } else if (token === '$' && open.at(-1) === '$') open.pop();
    else if (token === '$' && open.includes('$')) return false;
    else if (token === '{' || token === '$') open.push(token);
  }
  return open.length === 0;
}
