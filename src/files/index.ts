/** Saving and loading: what `io` of the package gives. The formats themselves are in io/. */
export * from '../io/index.ts';
export { type LoadedFile, load, type Saveable, type SaveOptions, save } from './save.ts';
