import scan from '../../shaders/cumsum/scan.wgsl' with { type: 'text' };
import serial from '../../shaders/cumsum/serial.wgsl' with { type: 'text' };
import { dtypes } from '../core/dtype.ts';
import { bindingText } from './bindingText.ts';
import { family } from './family.ts';
import type { BindingSource, DeviceProfile, Dispatch, KernelCall } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { roughly } from './lanes.ts';
import { loop, tooManyTurns } from './loopLimit.ts';

/** Cumulative sums along the middle axis of [outer, n, inner], from the start or, with `reverse`, from the end. */
export interface CumsumProblem {
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly reverse: boolean;
  readonly dtype: 'f32' | 'i32' | 'u32';
}

/** Elements of a block, and how many elements, blocks or turns are added up one after another: rounding errors of a sum grow with them. */
export const block = 64;
/** Elements that a workgroup of scan.wgsl takes in a turn. */
const scanned = 256 * 8;

/** input(0) [outer, n, inner] → output(0) of the same shape and dtype. */
export const cumsum = family<CumsumProblem>({
  name: 'cumsum',
  variants: {
    /** An invocation for each line. */
    serial: {
      unsupported: ({ n }) => tooLong(n, block * block),
      call: (problem) => ({ dispatches: [walk(problem, 'serial', input(0), output(0))] }),
    },
    /** A workgroup for each line. */
    scan: {
      unsupported: ({ n }) => tooLong(n, block * scanned),
      call: (problem) => ({ dispatches: [scanLines(problem)] }),
    },
    /** An invocation for each 64 elements: their totals first, then the cumulative sums of those, then each from its offset. */
    blocks: { call: inBlocks },
  },
  select: ({ outer, n, inner }, { selection }) => {
    if (selection === 'gpu' && n >= 256 && outer * inner < 4096 && n <= block * scanned) return 'scan';
    return n <= block * block ? 'serial' : 'blocks';
  },
  shapeClass: ({ outer, n, inner }) => roughly(outer, n, inner),
});

const tooLong = (n: number, most: number) => (n <= most ? null : `${n} elements: rounding errors grow beyond ${most}`);

function scanLines(problem: CumsumProblem): Dispatch {
  const { outer, n, inner, reverse, dtype } = problem;
  return {
    kernel: 'cumsum/scan',
    source: scan,
    constants: { Element: dtype, REVERSE: reverse },
    bindings: [input(0), output(0)],
    uniforms: { outer, n, inner },
    workgroups: grid(outer * inner),
    turns: loop(Math.ceil(n / scanned), 3 * loop(8)),
  };
}

/** Lines whole, or in `pieces`. */
function walk(
  { outer, n, inner, reverse, dtype }: CumsumProblem,
  name: string,
  from: BindingSource,
  to: BindingSource,
  { pieces, totals = false, offsets }: { pieces: number; totals?: boolean; offsets?: BindingSource } = { pieces: 1 },
): Dispatch {
  const length = pieces === 1 ? n : block;
  return {
    kernel: `cumsum/${name}`,
    source: serial,
    constants: { Element: dtype, BLOCK: block, REVERSE: reverse, TOTALS: totals },
    ...(offsets && before),
    bindings: offsets ? [from, to, offsets] : [from, to],
    uniforms: { outer, n, inner, pieces, length },
    workgroups: grid(Math.ceil((outer * pieces * inner) / 64)),
    turns: loop(Math.ceil(length / block), loop(block)),
  };
}

/** The cumulative sums of the totals of the pieces [outer, pieces, inner], in the order of the walk. */
const before = {
  declarations: bindingText(3, 'read', 'offsets', 'array<Element>'),
  functions: {
    before: `fn before(piece: u32, index: u32) -> Element {
  if (piece == 0u) { return Element(); }
  return offsets[index - params.inner];
}`,
  },
};

/** Totals of pieces, until one invocation can add them up, and from their sums back to those of all elements. */
function inBlocks(problem: CumsumProblem, profile: DeviceProfile): KernelCall {
  const { outer, inner, dtype } = problem;
  const sizes: number[] = [];
  const sums = (level: CumsumProblem, from: BindingSource, to: BindingSource): Dispatch[] => {
    const whole = walk(level, 'blocks/sums', from, to);
    if (sizes.length > 0 && level.n <= block * block && !tooManyTurns({ dispatches: [whole] }, profile)) return [whole];
    const pieces = Math.ceil(level.n / block);
    const first = sizes.length;
    for (let i = 0; i < 2; i++) sizes.push(outer * pieces * inner * dtypes[dtype].bytes);
    const [totals, offsets] = [scratch(first), scratch(first + 1)];
    return [
      walk(level, 'blocks/totals', from, totals, { pieces, totals: true }),
      ...sums({ ...level, n: pieces, reverse: false }, totals, offsets),
      walk(level, 'blocks', from, to, { pieces, offsets }),
    ];
  };
  return { dispatches: sums(problem, input(0), output(0)), scratch: sizes };
}
