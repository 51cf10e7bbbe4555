type Sentence = readonly string[];

/**
 * How close translations come to those of people, from 0 to 1: BLEU over a whole corpus (Papineni et al. 2002). Precision of
 * order n is the share of the runs of n words that are in a reference, too, each counted at most as often as one reference has
 * it; BLEU is the geometric mean of the precisions of orders 1 to `longest`, times exp(1 − r/c) where all translations together,
 * c words, are shorter than the references nearest in length, r words. Nothing is smoothed: 0 where an order has no match.
 *
 * @param references of each translation one or more
 */
export function bleu(
  translations: readonly Sentence[],
  references: readonly (readonly Sentence[])[],
  longest = 4,
): number {
  const pairs = translations.map((words, i) => ({ words, right: references[i] as readonly Sentence[] }));
  const total = (of: (pair: (typeof pairs)[number]) => number) => pairs.reduce((sum, pair) => sum + of(pair), 0);
  let logarithms = 0;
  for (let n = 1; n <= longest; n++) {
    const matches = total(({ words, right }) => matchesOf(words, right, n));
    if (matches === 0) return 0;
    logarithms += Math.log(matches / total(({ words }) => Math.max(0, words.length - n + 1)));
  }
  const c = total(({ words }) => words.length);
  const r = total(({ words, right }) => nearestLength(words.length, right));
  return Math.exp(Math.min(0, 1 - r / c) + logarithms / longest);
}

/** How many of the runs of n words are in a reference, each counted at most as often as there. */
function matchesOf(words: Sentence, references: readonly Sentence[], n: number): number {
  const known = references.map((reference) => runs(reference, n));
  let matches = 0;
  for (const [run, times] of runs(words, n))
    matches += Math.min(times, Math.max(...known.map((counts) => counts.get(run) ?? 0)));
  return matches;
}

/** Each run of n words, and how often it is there. */
function runs(words: Sentence, n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    const run = words.slice(i, i + n).join(' ');
    counts.set(run, (counts.get(run) ?? 0) + 1);
  }
  return counts;
}

/** The shorter one of two that are equally near. */
function nearestLength(length: number, references: readonly Sentence[]): number {
  const lengths = references.map((reference) => reference.length).sort((a, b) => a - b);
  return lengths.reduce((best, each) => (Math.abs(each - length) < Math.abs(best - length) ? each : best));
}
