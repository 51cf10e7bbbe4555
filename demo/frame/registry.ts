import type { Example } from './example.ts';

/** The file of each example, in the order of a course. Commands and tests know an example by its entry here. */
const loaders = {
  'gradient-flow': () => import('../examples/gradient-flow.ts'),
  range: () => import('../examples/range.ts'),
  clipping: () => import('../examples/clipping.ts'),
  truncation: () => import('../examples/truncation.ts'),
  'teacher-forcing': () => import('../examples/teacher-forcing.ts'),
  bottleneck: () => import('../examples/bottleneck.ts'),
  translation: () => import('../examples/translation.ts'),
  sentiment: () => import('../examples/sentiment.ts'),
  tagging: () => import('../examples/tagging.ts'),
  melody: () => import('../examples/melody.ts'),
  'char-rnn': () => import('../examples/char-rnn.ts'),
  tree: () => import('../examples/tree.ts'),
  grid: () => import('../examples/grid.ts'),
  captions: () => import('../examples/captions.ts'),
  speech: () => import('../examples/speech.ts'),
} satisfies Record<string, () => Promise<{ default: Example }>>;

export type ExampleName = keyof typeof loaders;

export const exampleNames = Object.keys(loaders) as ExampleName[];

export async function loadExample(name: ExampleName): Promise<Example> {
  return (await loaders[name]()).default;
}
