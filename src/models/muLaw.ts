import { DTypeError, ValueError } from '../core/errors.ts';
import { expectKind, integerFrom, shown } from '../core/options.ts';

/**
 * Companding by the µ-law (ITU-T G.711): levels lie close together where a wave is quiet, so that few of them are enough. The
 * formula and the names are those of torchaudio, with µ one less than the number of levels.
 */

/** How many levels there may be: two at least, and no more than are told apart in f32. */
export const levelCount = integerFrom(2, 2 ** 16);

/**
 * A wave in [-1, 1] as levels, each from 0 to `levels` − 1: ⌊(sgn(x)·ln(1 + µ|x|)/ln(1 + µ) + 1)/2 · µ + ½⌋. What lies beyond is
 * cut off. Throws a ValueError on NaN.
 */
export function muLawEncoding(wave: Float32Array | Float64Array | readonly number[], levels = 256): Int32Array {
  const op = 'muLawEncoding';
  if (!(wave instanceof Float32Array || wave instanceof Float64Array || Array.isArray(wave)))
    throw new DTypeError(
      `[${op}] takes a wave as numbers in [-1, 1], in a Float32Array or an array, got ${shown(wave)}`,
    );
  expectKind(op, 'levels', levels, levelCount);
  const mu = levels - 1;
  return Int32Array.from(wave as ArrayLike<number>, (given, i) => {
    if (typeof given !== 'number' || Number.isNaN(given))
      throw new ValueError(`[${op}] sample ${i} of the wave is ${shown(given)}, which is no number`);
    const x = Math.min(Math.max(given, -1), 1);
    const companded = (Math.sign(x) * Math.log1p(mu * Math.abs(x))) / Math.log1p(mu);
    return Math.floor(((companded + 1) / 2) * mu + 0.5);
  });
}

/** The wave of levels as `muLawEncoding` gives them, in [-1, 1]. Throws a ValueError on a level outside [0, levels). */
export function muLawDecoding(given: Int32Array | readonly number[], levels = 256): Float32Array<ArrayBuffer> {
  const op = 'muLawDecoding';
  if (!(given instanceof Int32Array || Array.isArray(given)))
    throw new DTypeError(`[${op}] takes levels in an Int32Array, as muLawEncoding() gives them, got ${shown(given)}`);
  expectKind(op, 'levels', levels, levelCount);
  const mu = levels - 1;
  return Float32Array.from(given as ArrayLike<number>, (level, i) => {
    if (!Number.isInteger(level) || level < 0 || level > mu)
      throw new ValueError(`[${op}] level ${i} is ${shown(level)}; levels go from 0 to ${mu}`);
    const companded = (level / mu) * 2 - 1;
    return (Math.sign(companded) * Math.expm1(Math.abs(companded) * Math.log1p(mu))) / mu;
  });
}
