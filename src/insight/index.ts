/** Instruments: what a function's kernels cost, what a graph becomes, which kernels are fastest here. */
export { explain } from './explain.ts';
export { type ProfileOptions, profile } from './profile.ts';
export type { DispatchTime, KernelTime, ProfileReport, TraceFile } from './profileReport.ts';
export { type TuneOptions, type TuneProgress, tune } from './tune.ts';
export { StoreError, type Tuned, type TuneReport } from './tuneReport.ts';
