export { type Collated, collate } from './collate.ts';
export { DataLoader, type LoaderOptions, type LoaderState } from './loader.ts';
export type { IndexedSamples, Samples } from './source.ts';
export { type Positioned, type RecoverOptions, type Recovery, recover } from './recover.ts';
