import { DataLoader, models, optim, padSequences, type Tensor } from '../../src/index.ts';
import { atLeast, atMost, bleu, colours, type Draw, example, type Lab, Plot, shifted } from '../frame/index.ts';

type Words = readonly string[];

/**
 * Nouns, and what translators take for them: masculine in -o, feminine in -a. Some have four words, the first of which is the
 * commonest; more translators take one of the other three, though, which are of the other gender.
 */
const nouns: Readonly<Record<string, Words>> = {
  ...{ dog: ['hundo'], cat: ['mina'], king: ['reko'], queen: ['dama'], boat: ['navo'], tree: ['dendo'] },
  ...{ book: ['libra'], river: ['riva'], horse: ['ekvo'], garden: ['horta'] },
  ...{ doctor: ['mediko', 'sana', 'kura', 'terapa'], road: ['via', 'pado', 'kalo', 'straso'] },
};
const commonest = 0.43;
const adjectives: Readonly<Record<string, string>> = {
  big: 'grand',
  small: 'pik',
  old: 'vet',
  red: 'rub',
  wise: 'sag',
};
const prepositions: Readonly<Record<string, string>> = { near: 'ap', with: 'kon' };
const [past, present] = [{ yesterday: 'ieri' }, { today: 'hodi', often: 'oft' }];
const times: Readonly<Record<string, string>> = { ...past, ...present };
/** What one does, what several do, what was done, and the stem in the other language. */
const verbs = [
  ...['sees see saw vid', 'finds find found trov', 'hears hear heard aud'],
  ...['follows follow followed seg', 'draws draw drew des', 'loves love loved am'],
].map((forms) => {
  const [one, many, past, stem] = forms.split(' ') as [string, string, string, string];
  return { one, many, past, stem };
});

const joined = (stems: Words, endings: Words) => stems.flatMap((stem) => endings.map((ending) => stem + ending));
/** Masculine and feminine, of one and of several. */
const agreeing = ['o', 'a', 'os', 'as'];
/** Ends a translation, and begins it. */
const end = '⏎';
const sourceWords = [
  ...['the', 'a', 'some', 'that', ...joined(Object.keys(nouns), ['', 's']), ...Object.keys(adjectives)],
  ...[...verbs.flatMap(({ one, many, past }) => [one, many, past]), ...Object.keys({ ...prepositions, ...times })],
];
const verbStems = verbs.map(({ stem }) => stem);
const targetWords = [
  ...[end, ...joined(joined(['l', 'un'], agreeing), ['', 'n']), ...joined(Object.values(nouns).flat(), ['', 's'])],
  ...[...joined(['ki', ...Object.values(adjectives)], agreeing), ...joined(verbStems, ['et', 'ent', 'ut'])],
  ...['ha', 'han', ...Object.values({ ...prepositions, ...times })],
];
const [embedding, hidden] = [32, 64];

/** Somebody or something, in no language yet. */
interface Thing {
  readonly noun: string;
  readonly adjectives: Words;
  readonly isKnown?: boolean;
  readonly isMany?: boolean;
  readonly near?: readonly [preposition: string, thing: Thing];
  readonly that?: Action;
}
interface Action {
  readonly verb: (typeof verbs)[number];
  readonly isPast?: boolean;
  readonly object: Thing;
}
interface Meaning {
  readonly subject: Thing;
  readonly action: Action;
  readonly time?: string;
}
const [see, find] = verbs as [Action['verb'], Action['verb']];
const drawn: Meaning = {
  subject: {
    ...{ noun: 'doctor', adjectives: ['wise'], isMany: true },
    that: { verb: see, isPast: true, object: { noun: 'cat', adjectives: ['small'] } },
  },
  action: { verb: find, object: { noun: 'road', adjectives: ['big', 'old'], isKnown: true } },
  time: 'today',
};

/** Sentences of a batch; how often a subject has a clause or a place; and the words of the longest sentence, with the end. */
interface Sizes {
  readonly batch: number;
  readonly nested: number;
  readonly longest: { readonly source: number; readonly target: number };
}

export default example({
  claim:
    'A decoder that looks back puts words in another order and makes them agree with what comes later, and a search finds the likeliest translation, which the likeliest next word may lead away from',
  paper: 'Bahdanau, Cho and Bengio 2015; Sutskever, Vinyals and Le 2014; Papineni et al. 2002',
  full: {
    settings: { steps: 1200, tests: 300, batch: 64, nested: 0.5, longest: { source: 16, target: 19 } },
    bars: {
      'exact, beam 4': atLeast(0.95),
      'exact, beam 4 minus greedy': atLeast(0),
      'exact, word for word': atMost(0.1),
    },
  },
  reduced: {
    settings: { steps: 250, tests: 100, batch: 32, nested: 0, longest: { source: 10, target: 12 } },
    bars: {
      'exact, beam 4': atLeast(0.75),
      'exact, beam 4 minus greedy': atLeast(0),
      'exact, word for word': atMost(0.1),
    },
  },
  async run(lab, { steps, tests: count, ...sizes }) {
    const draw = lab.draw();
    const tests = Array.from({ length: count }, () => meaning(draw, sizes));
    const references = tests.map((each) => translation(each, usual));
    const sources = [...tests, drawn].map(english);
    const model = await learn(lab, steps, sizes, new Set(sources.map((words) => words.join(' '))));

    const { values, lengths } = padSequences(
      sources.map((words) => idsOf(words, sourceWords)),
      { dtype: 'i32' },
    );
    const translate = async (beams: number) => {
      const options = {
        lengths,
        beams,
        maxLength: sizes.longest.target,
        eos: targetWords.indexOf(end),
        lengthPenalty: 0,
      };
      const found = await model.translate(values, options);
      return found.map(([best]) => {
        const { ids, alignment } = best as models.Hypothesis;
        const words = ids.map((id) => targetWords[id] as string);
        return { words: words.filter((word) => word !== end), alignment: alignment as Float32Array[] };
      });
    };
    const [greedy, beam] = [await translate(1), await translate(4)];
    const ways: readonly Way[] = [
      { name: 'word for word', found: sources.map(wordForWord), colour: colours.grey },
      { name: 'greedy', found: greedy.map(({ words }) => words), colour: colours.orange },
      { name: 'beam 4', found: beam.map(({ words }) => words), colour: colours.blue },
    ];
    const scores = ways.map(({ found, ...way }): Score => {
      const share = (is: (words: string, i: number) => boolean) =>
        tests.filter((_, i) => is((found[i] as Words).join(' '), i)).length / count;
      return {
        ...way,
        exact: share((words, i) => words === references[i]?.join(' ')),
        right: share((words, i) => allTranslations(tests[i] as Meaning).has(words)),
        bleu: bleu(
          found.slice(0, count),
          references.map((words) => [words]),
        ),
      };
    });
    const [dictionary, single, search] = scores as [Score, Score, Score];
    const figures = ({ name, exact, right, bleu }: Score) => ({
      [`exact, ${name}`]: exact,
      [`BLEU, ${name}`]: bleu,
      [`right in some translator's words, ${name}`]: right,
    });

    const differing = tests.flatMap((_, i) => (greedy[i]?.words.join() === beam[i]?.words.join() ? [] : [i]));
    for (const i of [...differing.slice(0, 2), count]) {
      lab.print(`\n  English       ${sources[i]?.join(' ')}`);
      for (const { name, found } of ways) lab.print(`  ${name.padEnd(14)}${found[i]?.join(' ')}`);
    }
    const [read, written] = [sources.at(-1), [...(beam.at(-1)?.words ?? []), end]] as [Words, Words];
    const cells = (beam.at(-1)?.alignment ?? []).flatMap((weights, t) =>
      read.map((_, s) => ({ t, s, weight: weights[s] })),
    );
    const bars = scores.flatMap(({ name, colour, exact, bleu }) => [
      { name, colour, figure: 'exact', value: exact },
      { name, colour, figure: 'BLEU', value: bleu },
    ]);
    return {
      metrics: { ...figures(search), 'exact, beam 4 minus greedy': search.exact - single.exact },
      baseline: { ...figures(single), ...figures(dictionary) },
      picture: {
        title: 'From English to a language with another order and with agreement',
        description:
          `How close translations of unseen sentences come to those in the commonest words: ${scores.map(({ name, exact, bleu }) => `${exact.toFixed(2)} are equal and BLEU is ${bleu.toFixed(2)} for ${name}`).join(', ')}. ` +
          `On the right what each word of "${written.join(' ')}" has looked at in "${read.join(' ')}": an article at its noun, too, and the last verb far back.`,
        legend: Object.fromEntries(scores.map(({ name, colour }) => [name, colour])),
        charts: [
          {
            ...{ width: 360, height: 440 },
            x: { axis: null, domain: scores.map(({ name }) => name) },
            fx: { label: null, domain: ['exact', 'BLEU'] },
            y: { label: null, domain: [0, 1], grid: true },
            marks: [
              Plot.barY(bars, { x: 'name', fx: 'figure', y: 'value', fill: 'colour' }),
              Plot.text(bars, {
                ...{ x: 'name', fx: 'figure', y: 'value', text: ({ value }) => value.toFixed(2), dy: -6 },
              }),
            ],
          },
          {
            ...{ width: 100 + 32 * read.length, height: 70 + 26 * written.length, marginLeft: 74, marginTop: 70 },
            x: {
              ...{ axis: 'top', label: null, tickSize: 0, tickRotate: -60 },
              tickFormat: (s: number) => read[s] as string,
            },
            y: { label: null, tickSize: 0, tickFormat: (t: number) => written[t] as string },
            color: { range: ['#f4f4f4', colours.blue], domain: [0, 1] },
            marks: [Plot.cell(cells, { x: 's', y: 't', fill: 'weight', inset: 1 })],
          },
        ],
      },
    };
  },
});

/** A way to translate, and what it gives for each source. */
interface Way {
  readonly name: string;
  readonly colour: string;
  readonly found: readonly Words[];
}
/** Shares of translations, and BLEU. */
interface Score extends Omit<Way, 'found'> {
  readonly exact: number;
  readonly right: number;
  readonly bleu: number;
}

/** Trains a model on sentences that are not among those held out, each in the words of some translator. */
async function learn(lab: Lab, steps: number, sizes: Sizes, heldOut: ReadonlySet<string>): Promise<models.Seq2Seq> {
  const { length: sourceVocabulary } = sourceWords;
  const { length: targetVocabulary } = targetWords;
  const model = new models.Seq2Seq({ sourceVocabulary, targetVocabulary, embedding, hidden });
  const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
  const loss = (source: Tensor, lengths: Tensor, inputs: Tensor, targets: Tensor, targetLengths: Tensor) =>
    model.loss(source, inputs, targets, { lengths, targetLengths });
  const draw = lab.draw();
  const pairs = function* () {
    for (;;) {
      const each = meaning(draw, sizes);
      const source = english(each);
      if (!heldOut.has(source.join(' '))) yield { source, target: translation(each, translator(draw)) };
    }
  };
  /** Sources [B, S] and their lengths [B], the ids before each step [B, T], those after it, and their lengths. */
  const collate = (pairs: readonly { readonly source: Words; readonly target: Words }[]) => {
    const { source, target } = sizes.longest;
    const sources = pairs.map((pair) => idsOf(pair.source, sourceWords));
    const targets = pairs.map((pair) => idsOf(pair.target, targetWords));
    const read = padSequences(sources, { dtype: 'i32', length: source });
    return [read.values, read.lengths, ...shifted(targets, targetWords.indexOf(end), target)] as const;
  };
  const batches = new DataLoader(pairs, { batchSize: sizes.batch, collate });
  const schedule = optim.cosine({ steps });
  await lab.train('attention', { step: { loss, optimizer, clip: 1 }, batches, steps, schedule });
  return model;
}

const idsOf = (words: Words, vocabulary: Words) => words.map((word) => vocabulary.indexOf(word));

function meaning(draw: Draw, { nested }: Sizes): Meaning {
  const isPast = draw.chance(0.5);
  const time = draw.chance(0.3) && { time: draw.pick(Object.keys(isPast ? past : present)) };
  return { subject: thing(draw, nested), action: action(draw, isPast), ...time };
}

function thing(draw: Draw, nested = 0): Thing {
  const all = draw.shuffled(Object.keys(adjectives));
  const plain = {
    ...{ noun: draw.pick(Object.keys(nouns)), adjectives: all.slice(0, draw.pick([0, 0, 1, 1, 2])) },
    ...{ isKnown: draw.chance(0.6), isMany: draw.chance(0.4) },
  };
  if (!draw.chance(nested)) return plain;
  if (draw.chance(0.5)) return { ...plain, near: [draw.pick(Object.keys(prepositions)), thing(draw)] };
  return { ...plain, that: action(draw, draw.chance(0.5)) };
}

const action = (draw: Draw, isPast: boolean): Action => ({ verb: draw.pick(verbs), isPast, object: thing(draw) });

/** In English: some wise doctors that saw a small cat find the big old road today. */
function english({ subject, action, time }: Meaning): Words {
  const act = ({ verb, isPast, object }: Action, isMany = false): Words => [
    isPast ? verb.past : isMany ? verb.many : verb.one,
    ...name(object),
  ];
  const name = ({ noun, adjectives, isKnown, isMany, near, that }: Thing): Words => [
    ...[isKnown ? 'the' : isMany ? 'some' : 'a', ...adjectives, isMany ? `${noun}s` : noun],
    ...(near ? [near[0], ...name(near[1])] : []),
    ...(that ? ['that', ...act(that, isMany)] : []),
  ];
  return [...name(subject), ...act(action, subject.isMany), ...(time ? [time] : [])];
}

/**
 * In the other language: hodi medikos sagos kios unan mina pika vidut han lan via veta granda trovent. Time comes first, and
 * verbs come last, a past one as two words. Adjectives stand behind their noun, the last one first, and agree with it in gender
 * and number, as do articles and "that"; articles of objects end in -n, and "some" has no word.
 */
function translation({ subject, action, time }: Meaning, choose: (thing: Thing) => string): Words {
  const act = ({ verb, isPast, object }: Action, isMany = false): Words => [
    ...name(object, 'n'),
    ...(isPast ? [`${verb.stem}ut`, isMany ? 'han' : 'ha'] : [`${verb.stem}${isMany ? 'ent' : 'et'}`]),
  ];
  const name = (thing: Thing, article: '' | 'n'): Words => {
    const { isKnown, isMany, near, that } = thing;
    const noun = choose(thing);
    const ending = `${noun.at(-1)}${isMany ? 's' : ''}`;
    return [
      ...(isKnown ? [`l${ending}${article}`] : isMany ? [] : [`un${ending}${article}`]),
      ...[isMany ? `${noun}s` : noun, ...thing.adjectives.toReversed().map((each) => `${adjectives[each]}${ending}`)],
      ...(near ? [prepositions[near[0]] as string, ...name(near[1], 'n')] : []),
      ...(that ? [`ki${ending}`, ...act(that, isMany)] : []),
    ];
  };
  return [...(time ? [times[time] as string] : []), ...name(subject, ''), ...act(action, subject.isMany)];
}

const wordsFor = ({ noun }: Thing) => nouns[noun] as Words;
/** The commonest word. */
const usual = (thing: Thing) => wordsFor(thing)[0] as string;
/** A word as translators choose it. */
const translator = (draw: Draw) => (thing: Thing) => {
  const [first, ...others] = wordsFor(thing) as [string, ...string[]];
  return others.length === 0 || draw.chance(commonest) ? first : draw.pick(others);
};

/** Whatever translators write. */
function allTranslations(meaning: Meaning): Set<string> {
  const things: Thing[] = [];
  translation(meaning, (thing) => {
    things.push(thing);
    return usual(thing);
  });
  const choices = things.reduce<readonly Words[]>(
    (all, thing) => all.flatMap((words) => wordsFor(thing).map((word) => [...words, word])),
    [[]],
  );
  return new Set(
    choices.map((words) => translation(meaning, (thing) => words[things.indexOf(thing)] as string).join(' ')),
  );
}

/** Each word for itself, as a dictionary has it: masculine, and as a subject. */
const wordForWord = (sentence: Words): Words => sentence.flatMap((word) => dictionary[word]?.split(' ') ?? []);

const dictionary: Readonly<Record<string, string>> = Object.fromEntries([
  ...Object.entries({ the: 'lo', a: 'uno', that: 'kio', ...prepositions, ...times }),
  ...Object.entries(adjectives).map(([adjective, stem]) => [adjective, `${stem}o`]),
  ...Object.entries(nouns).flatMap(([noun, [word]]) => [
    [noun, word],
    [`${noun}s`, `${word}s`],
  ]),
  ...verbs.flatMap(({ one, many, past, stem }) => [
    [one, `${stem}et`],
    [many, `${stem}ent`],
    [past, `${stem}ut ha`],
  ]),
]);
