import type { DType } from '../core/dtype.ts';
import type { Layout } from '../core/layout.ts';
import type { Attributes } from '../core/types.ts';

/** The types of one expression in generated WGSL: scalar, or vectors of four. */
export interface ExpressionTypes {
  readonly f32: string;
  readonly i32: string;
  readonly u32: string;
  readonly bool: string;
}

/** What an expression may refer to beside its arguments. */
export interface ExpressionContext {
  readonly types: ExpressionTypes;
  readonly inputDTypes: readonly DType[];
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** WGSL for the row-major index in the output, a u32. */
  readonly index: string;
  /** WGSL that tells whether the output element lies inside input `input`, for ops that read only a part (pad, concat). */
  readonly inside: readonly string[];
  /** WGSL for element `position` of input `input`: for keys and tables, which are not broadcast. */
  element(input: number, position: number): string;
}

/** Where an input lies in the index space of the output; `low` ≤ coordinate < `high` on `axis`, and nothing outside. */
export interface Window {
  readonly layout: Layout;
  readonly axis: number;
  readonly low: number;
  readonly high: number;
}

/** One element of a result as WGSL, made of the elements of the inputs at its place. */
export interface Expression {
  expression(inputs: readonly string[], attributes: Attributes, context: ExpressionContext): string;
  /** True where the expression uses `index`: such kernels take one element per invocation. */
  readonly indexed?: boolean;
  /** True where it uses `index` and tables, and gives elements 4·index to 4·index + 3 where types are vectors. */
  readonly blocks?: boolean;
  /** Further files of shaders/lib/ that the expression calls. */
  readonly library?: readonly string[];
}
