export { Adam, type AdamSettings, AdamW } from './adam.ts';
export { type ClipOptions, clipGradNorm, clipGradValue } from './clip.ts';
export type { CommonSettings, ParameterGroup, StepOptions } from './groups.ts';
export type { Divergence } from './ledger.ts';
export { Muon, type MuonOptions, type MuonSettings } from './muon.ts';
export { Optimizer } from './optimizer.ts';
export {
  Adagrad,
  type AdagradSettings,
  Lion,
  type LionSettings,
  RMSprop,
  type RMSpropSettings,
} from './rules.ts';
export { constant, cosine, inverseSquareRoot, linear, type Schedule, stepwise, warmup } from './schedules.ts';
export { SGD, type SGDSettings } from './sgd.ts';
