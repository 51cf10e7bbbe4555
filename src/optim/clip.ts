import { ValueError } from '../core/errors.ts';
import { anyNumber, declareOptions, expectKind, flag, iterable, shown } from '../core/options.ts';
import { Parameter } from '../graph/parameter.ts';
import { noGrad } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { clamp, mul } from '../ops/elementwise.ts';
import { concat } from '../ops/join.ts';
import { pack } from '../ops/packing.ts';
import { sumSquares } from '../ops/reduce.ts';
import { at } from '../ops/slice.ts';
import { type ClipSettings, clipNorm, clipScale } from '../ops/updates.ts';
import { reshape } from '../ops/view.ts';
import { type Clipping, clippings, gradientFor, type ParameterPack, packOf } from './pack.ts';

/** What `clipGradNorm` does about a norm that is not finite. */
export interface ClipOptions {
  /**
   * Whether a norm that is not finite makes the step fail: the next read throws a ValueError, and optimizers change
   * nothing. Default false: a NaN among the gradients then makes all of them NaN, as in PyTorch; `diverged` of the
   * optimizer names the parameter that had it.
   */
  errorIfNonfinite?: boolean;
}
const clipOptions = declareOptions<ClipOptions>({ errorIfNonfinite: flag });

/**
 * Scales the gradients by min(1, maxNorm/(norm + 1e-6)), where norm is that of all of them together (Pascanu et al. 2013),
 * and gives the norm, a scalar. All on the GPU: two dispatches, and the optimizer's kernel does the scaling.
 */
export function clipGradNorm(parameters: Iterable<Parameter>, maxNorm: number, options?: ClipOptions): Tensor {
  const { errorIfNonfinite = false } = clipOptions('clipGradNorm', options);
  expectKind('clipGradNorm', 'maxNorm', maxNorm, anyNumber);
  if (!(maxNorm > 0)) throw new ValueError(`[clipGradNorm] maxNorm must be a positive number, got ${shown(maxNorm)}`);
  const list = withGradients('clipGradNorm', parameters);
  // Limits maxNorm: Infinity asks for the norm alone, and shaders know no Infinity.
  const settings = { maxNorm: Math.min(maxNorm, 1e30), strict: errorIfNonfinite };
  return noGrad(() => {
    const packs = wholePacks(list);
    const flats = packs
      ? packs.map((each) => (each.gradients() as { flat: Tensor }).flat)
      : [pack(list.map(gradientOf))];
    const { norm, scale } = flats.length === 1 ? clipNorm(flats[0] as Tensor, settings) : clipJointly(flats, settings);
    const factor = at(scale, 0);
    for (const parameter of list) parameter.grad = mul(gradientOf(parameter), factor);
    for (const [i, each] of (packs ?? []).entries()) {
      const gradients = each.members.flatMap((member) => gradientFor(member) ?? []);
      const clipping: Clipping = { pack: each, flat: flats[i] as Tensor, scale, count: gradients.length };
      for (const gradient of gradients) clippings.set(gradient, clipping);
    }
    return reshape(norm, []);
  });
}

/** Limits each element of the gradients to [−limit, limit]. */
export function clipGradValue(parameters: Iterable<Parameter>, limit: number): void {
  expectKind('clipGradValue', 'the limit', limit, anyNumber);
  if (!(limit > 0)) throw new ValueError(`[clipGradValue] the limit must be a positive number, got ${shown(limit)}`);
  const list = withGradients('clipGradValue', parameters);
  noGrad(() => {
    for (const parameter of list) parameter.grad = clamp(gradientOf(parameter), -limit, limit);
  });
}

/**
 * The packs in which the parameters lie, if no other member of these has a gradient and nothing has scaled the gradients
 * yet; else null.
 */
function wholePacks(parameters: readonly Parameter[]): ParameterPack[] | null {
  const given = new Set(parameters);
  const packs = new Set(parameters.map(packOf));
  const whole = [...packs].filter((each) => each !== undefined);
  if (whole.length < packs.size) return null;
  const complete = whole.every(({ members }) =>
    members.every((member) => given.has(member) || gradientFor(member) === null),
  );
  return complete && !parameters.some((parameter) => clippings.has(gradientOf(parameter))) ? whole : null;
}

function clipJointly(flats: readonly Tensor[], settings: ClipSettings): { norm: Tensor; scale: Tensor } {
  return clipScale(concat(flats.map((flat) => reshape(sumSquares(flat), [1]))), settings);
}

function withGradients(name: string, parameters: Iterable<Parameter>): Parameter[] {
  expectKind(name, 'parameters', parameters, iterable);
  const given = [...new Set(parameters)];
  if (given.some((each) => !(each instanceof Parameter)))
    throw new ValueError(`[${name}] takes parameters, like model.parameters(), got ${shown(given)}`);
  const list = given.filter((each) => gradientFor(each) !== null);
  if (list.length === 0) throw new ValueError(`[${name}] no parameter has a gradient; call loss.backward() first`);
  return list;
}

const gradientOf = (parameter: Parameter) => parameter.grad as Tensor;
