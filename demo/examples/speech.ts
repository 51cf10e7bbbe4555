import { DataLoader, models, optim, padSequences, type Tensor, tensor } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, type Lab, Plot, samples, wavFile } from '../frame/index.ts';

/** Samples of a second, samples of a frame, and levels of a sample. */
const [rate, frame, levels] = [4000, 16, 64];
const letters = 'aeioumnl';
/** Frames that a letter may last, and one more in which it dies away, into the next. */
const [shortest, longest] = [3, 5];

/** What a letter sounds like: two tones, in Hz, for some frames. Both begin with a phase of 0 when the letter begins. */
interface Sound {
  readonly frames: number;
  readonly tones: readonly [low: number, high: number];
}
/** A word, as places of its letters, and how it sounds: all samples [N], of which the first are its own. */
interface Spoken {
  readonly word: readonly number[];
  readonly wave: Float32Array;
  readonly length: number;
}

export default example({
  claim:
    'Speech can be learned end to end: a reader that attends and a synthesiser of single samples say words that they have never heard',
  paper: 'Sotelo et al. 2017; Mehri et al. 2017; Graves 2013',
  full: {
    settings: { steps: 450, batch: 16, lr: 6e-3, alphabet: 6, fewest: 3, most: 4, hidden: 64, tests: 32 },
    bars: {
      'mse of new words': atMost(0.03),
      'mse of silence': atLeast(0.15),
      'mse of another word': atLeast(0.15),
    },
  },
  reduced: {
    settings: { steps: 300, batch: 8, lr: 8e-3, alphabet: 4, fewest: 2, most: 3, hidden: 48, tests: 8 },
    bars: {
      'mse of new words': atMost(0.1),
      'mse of silence': atLeast(0.15),
      'mse of another word': atLeast(0.15),
    },
  },
  async run(lab, { steps, batch, lr, alphabet, fewest, most, hidden, tests: count }) {
    const voice = voiceOf(lab.draw(), alphabet);
    const word = (draw: Draw) =>
      Array.from({ length: fewest + draw.below(most - fewest + 1) }, () => draw.below(alphabet));
    const N = (most * longest + 1) * frame;
    const speak = (each: readonly number[]) => spoken(each, voice, N);
    const chosen = new Map<string, readonly number[]>();
    for (const each of samples(word, lab.draw())) {
      chosen.set(each.join(), each);
      if (chosen.size === count) break;
    }
    const tests = [...chosen.values()].map(speak);
    const training = function* (draw: Draw) {
      for (const each of samples(word, draw)) if (!chosen.has(each.join())) yield speak(each);
    };

    const sizes = { vocabularySize: alphabet, embedding: 16, hidden, frame, levels };
    const model = new models.Char2Wav({ ...sizes, mixtures: 2, pace: 1 / 4, dropout: 0.5 });
    const loss = (text: Tensor, lengths: Tensor, heard: Tensor, sampleLengths: Tensor) =>
      model.loss(text, heard, { lengths, sampleLengths });
    const collate = (some: readonly Spoken[]) => batchOf(some, most);
    const draw = lab.draw();
    await lab.train('Char2Wav', {
      step: { loss, optimizer: new optim.Adam(model.parameters(), { lr }), clip: 1 },
      batches: new DataLoader(() => training(draw), { batchSize: batch, collate }),
      ...{ steps, schedule: optim.cosine({ steps }) },
    });

    const [text, lengths] = collate(tests);
    const said = await model.synthesize(text, { lengths, frames: N / frame, temperature: 0 });
    const mse = (waveOf: (i: number) => ArrayLike<number>) => {
      const errors = tests.flatMap(({ wave, length }, i) =>
        [...wave.subarray(0, length)].map((sample, n) => (sample - (waveOf(i)[n] ?? 0)) ** 2),
      );
      return errors.reduce((a, b) => a + b) / errors.length;
    };
    const saidOf = (i: number) => (said[i % tests.length] as models.Utterance).samples;
    await saveSound(lab, tests, saidOf);

    const variety = (i: number) => new Set((tests[i] as Spoken).word).size;
    const shown = tests.reduce((best, _, i) => (variety(i) > variety(best) ? i : best), 0);
    const test = tests[shown] as Spoken;
    const { samples: wave, alignment } = said[shown] as models.Utterance;
    const name = nameOf(test.word);
    const own = (all: Float32Array) => all.subarray(0, test.length);
    const end = (1000 * test.length) / rate;
    const time = { label: 'ms', domain: [0, end] };
    const cells = alignment
      .slice(0, test.length / frame)
      .flatMap((weights, f) => [...weights].slice(0, test.word.length).map((weight, u) => ({ f, u, weight })));
    const spectrogramOf = (all: Float32Array, who: string) => ({
      ...{ height: 220, x: time, y: { label: `Hz, ${who}`, domain: [0, 1500] } },
      color: { scheme: 'blues' as const, domain: [-40, 0], clamp: true },
      marks: [Plot.rect(spectrogram(own(all)), { x1: 'from', x2: 'to', y1: 'low', y2: 'high', fill: 'decibels' })],
    });
    const points = (all: Float32Array, colour: string) =>
      [...own(all)].map((sample, n) => ({ ms: (1000 * n) / rate, sample, colour }));
    return {
      metrics: { 'mse of new words': mse(saidOf) },
      baseline: { 'mse of silence': mse(() => []), 'mse of another word': mse((i) => saidOf(i + 1)) },
      picture: {
        title: `The word ${name}, which was not among those to learn from`,
        description:
          `Above the spectrograms of ${name} as the voice says it and as the model does, with two bands for each letter of the voice. ` +
          `Below both waves, one on the other (mse of all new words: ${mse(saidOf).toPrecision(2)}), and how much each frame takes of each letter, the first letter above.`,
        legend: { 'the voice': colours.grey, 'the model': colours.blue },
        columns: 2,
        charts: [
          spectrogramOf(test.wave, 'the voice'),
          spectrogramOf(wave, 'the model'),
          {
            ...{ height: 220, x: time, y: { label: 'sample', domain: [-1, 1], grid: true } },
            marks: [
              Plot.line(points(test.wave, colours.grey), { x: 'ms', y: 'sample', stroke: 'colour', strokeWidth: 4 }),
              Plot.line(points(wave, colours.blue), { x: 'ms', y: 'sample', stroke: 'colour', strokeWidth: 1.2 }),
            ],
          },
          {
            height: 220,
            x: { label: 'frame', tickSize: 0 },
            y: { label: 'letter', tickSize: 0, tickFormat: (u: number) => name[u] as string },
            color: { range: ['#f4f4f4', colours.blue], domain: [0, 1], clamp: true },
            marks: [Plot.cell(cells, { x: 'f', y: 'u', fill: 'weight', inset: 0.5 })],
          },
        ],
      },
    };
  },
});

const nameOf = (word: readonly number[]) => word.map((letter) => letters[letter]).join('');

/** A voice: each letter has a low and a high tone that no other has, and lasts as long as it does. */
function voiceOf(draw: Draw, alphabet: number): Sound[] {
  const places = Array.from({ length: alphabet }, (_, i) => i);
  const [lows, highs] = [draw.shuffled(places), draw.shuffled(places)];
  return places.map((i) => ({
    frames: shortest + (i % (longest - shortest + 1)),
    tones: [150 + 50 * (lows[i] as number), 600 + 100 * (highs[i] as number)],
  }));
}

/** A word said by a voice: letters swell and die away within a frame, the end of each under the beginning of the next. */
function spoken(word: readonly number[], voice: readonly Sound[], N: number): Spoken {
  const wave = new Float32Array(N);
  let begin = 0;
  for (const letter of word) {
    const { frames, tones } = voice[letter] as Sound;
    const length = (frames + 1) * frame;
    for (let n = 0; n < length; n++) {
      const [low, high] = tones.map((hertz) => Math.sin((2 * Math.PI * hertz * n) / rate)) as [number, number];
      const loudness = Math.min(1, (n + 0.5) / frame, (length - n - 0.5) / frame);
      (wave[begin + n] as number) += loudness * (0.5 * low + 0.4 * high);
    }
    begin += frames * frame;
  }
  return { word, wave, length: begin + frame };
}

/** Words [B, S] and their lengths [B], levels of their samples [B, N] and how many of them count [B]. */
function batchOf(
  some: readonly Spoken[],
  most: number,
): [text: Tensor, lengths: Tensor, heard: Tensor, sampleLengths: Tensor] {
  const { values, lengths } = padSequences(
    some.map(({ word }) => word),
    { length: most, dtype: 'i32' },
  );
  const rows = some.map(({ wave }) => models.muLawEncoding(wave, levels));
  const N = (rows[0] as Int32Array).length;
  const heard = tensor(Int32Array.from(rows.flatMap((row) => [...row])), { shape: [some.length, N] });
  return [values, lengths, heard, tensor(Int32Array.from(some, ({ length }) => length))];
}

/** The first words, each as the voice says it and then as the model does, with pauses of a quarter of a second. */
async function saveSound(lab: Lab, tests: readonly Spoken[], saidOf: (i: number) => Float32Array): Promise<void> {
  const pause = new Array<number>(rate / 4).fill(0);
  const all = tests
    .slice(0, 6)
    .flatMap(({ wave, length }, i) => [wave, saidOf(i)].flatMap((each) => [...each.subarray(0, length), ...pause]));
  await lab.save('speech.wav', wavFile(Float32Array.from(all), rate));
}

/** How loud each band is at each time, in decibels below a tone of amplitude 1, by Fourier transforms of windows (Hann). */
function spectrogram(wave: Float32Array) {
  const [width, step] = [64, 16];
  const parts = Array.from({ length: Math.ceil(wave.length / step) }, (_, part) => part * step);
  const bands = Array.from({ length: Math.ceil((1500 * width) / rate) }, (_, band) => band);
  return parts.flatMap((from) =>
    bands.map((band) => {
      let [real, imaginary] = [0, 0];
      for (let n = 0; n < width; n++) {
        const sample = wave[from + step / 2 + n - width / 2] ?? 0;
        const [window, angle] = [1 - Math.cos((2 * Math.PI * (n + 0.5)) / width), (2 * Math.PI * band * n) / width];
        real += (window * sample * Math.cos(angle)) / width;
        imaginary += (window * sample * Math.sin(angle)) / width;
      }
      const [time, hertz] = [1000 / rate, rate / width];
      return {
        ...{
          from: from * time,
          to: (from + step) * time,
          low: Math.max(0, band - 0.5) * hertz,
          high: (band + 0.5) * hertz,
        },
        decibels: 10 * Math.log10(real ** 2 + imaginary ** 2 + 1e-9),
      };
    }),
  );
}
