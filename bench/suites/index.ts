import { type AttentionProblem, attentionCases } from './attention.ts';
import { type MatmulProblem, matmulCases } from './matmul.ts';
import { type LayerNormProblem, layerNormCases, type SoftmaxProblem, softmaxCases } from './rows.ts';
import type { Case } from './suite.ts';

export type { Case, Expected, RowName } from './suite.ts';
export { rowNames } from './suite.ts';

/** What a contender is given: sizes and inputs. */
export type Problem = MatmulProblem | AttentionProblem | SoftmaxProblem | LayerNormProblem;
type OfKind<Each extends Problem, Kind> = Each extends Problem ? (Kind extends Each['kind'] ? Each : never) : never;
export type ProblemOf<Kind extends Problem['kind']> = OfKind<Problem, Kind>;

/** Everything that is measured, in the order of the tables. */
export const cases: readonly Case[] = [...matmulCases, ...attentionCases, ...softmaxCases, ...layerNormCases];
