import { ValueError } from '../errors.ts';
import { noGrad } from '../graph/record.ts';
import { full, minimum } from '../ops/elementwise.ts';
import { clipNorm } from '../ops/optimizer.ts';
import { sumSquares } from '../ops/reduce.ts';
import { pack, reshape } from '../ops/view.ts';
import type { Parameter, Tensor } from '../tensor.ts';
import { type Clipping, clippings, type ParameterPack, packOf } from './pack.ts';

/**
 * Scales the gradients by min(1, maxNorm/(norm + 1e-6)), where norm is that of all of them together (Pascanu et al. 2013),
 * and gives the norm, a scalar. All on the GPU: two dispatches, and the optimizer's kernel does the scaling.
 */
export function clipGradNorm(parameters: Iterable<Parameter>, maxNorm: number): Tensor {
  if (!(maxNorm > 0)) throw new ValueError(`[clipGradNorm] maxNorm must be a positive number, got ${maxNorm}`);
  const list = withGradients('clipGradNorm', parameters);
  // Infinity asks for the norm alone; shaders know none.
  const limit = Math.min(maxNorm, 1e30);
  return noGrad(() => {
    const packs = wholePacks(list);
    const flats = packs
      ? packs.map((each) => (each.gradients() as { flat: Tensor }).flat)
      : [pack(list.map(gradientOf))];
    const { norm, scale } = flats.length === 1 ? clipNorm(flats[0] as Tensor, limit) : clipJointly(flats, limit);
    const factor = reshape(scale, []);
    for (const parameter of list) parameter.grad = gradientOf(parameter).mul(factor);
    for (const [i, each] of (packs ?? []).entries()) {
      const gradients = each.members.flatMap(({ grad }) => grad ?? []);
      const clipping: Clipping = { pack: each, flat: flats[i] as Tensor, scale, count: gradients.length };
      for (const gradient of gradients) clippings.set(gradient, clipping);
    }
    return reshape(norm, []);
  });
}

/** Limits each element of the gradients to ±limit. */
export function clipGradValue(parameters: Iterable<Parameter>, limit: number): void {
  if (!(limit > 0)) throw new ValueError(`[clipGradValue] the limit must be a positive number, got ${limit}`);
  const list = withGradients('clipGradValue', parameters);
  noGrad(() => {
    for (const parameter of list) parameter.grad = gradientOf(parameter).clamp(-limit, limit);
  });
}

/** The optimizer's packs, if the parameters are all in them that have gradients, and none has been scaled already. */
function wholePacks(parameters: readonly Parameter[]): ParameterPack[] | null {
  const given = new Set(parameters);
  const packs = new Set(parameters.map(packOf));
  const whole = [...packs].filter((each) => each !== undefined);
  if (whole.length < packs.size) return null;
  const complete = whole.every(({ members }) => members.every((member) => given.has(member) || member.grad === null));
  return complete && !parameters.some((parameter) => clippings.has(gradientOf(parameter))) ? whole : null;
}

function clipJointly(flats: readonly Tensor[], maxNorm: number): { norm: Tensor; scale: Tensor } {
  const norm = flats
    .map((flat) => reshape(sumSquares(flat), [1]))
    .reduce((a, b) => a.add(b))
    .sqrt();
  return { norm, scale: minimum(full([1], maxNorm).div(norm.add(1e-6)), 1) };
}

function withGradients(name: string, parameters: Iterable<Parameter>): Parameter[] {
  const list = [...new Set(parameters)].filter(({ grad }) => grad !== null);
  if (list.length === 0) throw new ValueError(`[${name}] no parameter has a gradient; call loss.backward() first`);
  return list;
}

const gradientOf = (parameter: Parameter) => parameter.grad as Tensor;
