/** What an example imports beside the library. */

export * as Plot from '@observablehq/plot';
export { JobError } from '../host.ts';
export { bleu } from './bleu.ts';
export { Draw } from './draw.ts';
export { atLeast, atMost, type Example, example, type Outcome, samples, within } from './example.ts';
export type { Lab } from './lab.ts';
export { colours, logarithmic, type Picture } from './picture.ts';
export { shifted } from './shifted.ts';
export { wavFile } from './wav.ts';
