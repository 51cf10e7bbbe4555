import { type AttentionProblem, attentionCases, attentionMemoryCases } from './attention.ts';
import { type ConvProblem, convCases } from './conv.ts';
import { type AdamwProblem, adamwCases, type ElementwiseProblem, elementwiseCases } from './elementwise.ts';
import { type MatmulProblem, matmulCases } from './matmul.ts';
import { type LstmCellProblem, lstmCellCases, type RecurrentProblem, recurrentCases } from './recurrent.ts';
import {
  type CrossEntropyProblem,
  crossEntropyCases,
  type LayerNormProblem,
  layerNormCases,
  type SoftmaxProblem,
  softmaxCases,
} from './rows.ts';
import { type GptStepProblem, type LstmStepProblem, stepCases } from './steps.ts';
import type { Case } from './suite.ts';

export type { Case, Expected, RowName } from './suite.ts';
export { rowNames } from './suite.ts';

/** What a contender is given: sizes and inputs. */
export type Problem =
  | MatmulProblem
  | AttentionProblem
  | ConvProblem
  | SoftmaxProblem
  | LayerNormProblem
  | CrossEntropyProblem
  | LstmCellProblem
  | RecurrentProblem
  | AdamwProblem
  | ElementwiseProblem
  | GptStepProblem
  | LstmStepProblem;
type OfKind<Each extends Problem, Kind> = Each extends Problem ? (Kind extends Each['kind'] ? Each : never) : never;
export type ProblemOf<Kind extends Problem['kind']> = OfKind<Problem, Kind>;

/** Everything that is measured, in the order of the tables. */
export const cases: readonly Case[] = [
  ...matmulCases,
  ...attentionCases,
  ...convCases,
  ...softmaxCases,
  ...layerNormCases,
  ...crossEntropyCases,
  ...lstmCellCases,
  ...recurrentCases,
  ...adamwCases,
  ...elementwiseCases,
  ...stepCases,
  ...attentionMemoryCases,
];
