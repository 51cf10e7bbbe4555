import sideSum from '../../shaders/lib/sideSum.wgsl' with { type: 'text' };
import { bindingText } from './bindingText.ts';
import type { BindingSource, Dispatch } from './kernel.ts';
import { grid } from './kernel.ts';
import { addLibrary } from './library.ts';
import { loop } from './loopLimit.ts';

addLibrary({ sideSum });

/**
 * What a dispatch does, where that is no more than a sum over the rows of a matrix [rows, columns]: the first workgroups
 * of a kernel that comes later can do it beside that kernel's work (shaders/lib/sideSum.wgsl).
 */
export interface SideSum {
  readonly rows: number;
  readonly columns: number;
  readonly source: BindingSource;
  /** One output, or two that have half of the columns each. */
  readonly outputs: readonly BindingSource[];
}

/** Beyond so many rows a column keeps an invocation busy for longer than a dispatch costs. */
export const mostSideRows = 256;

/** Parameters of a kernel that could make a side sum, and makes none. */
export const noSideSum = { sides: 0, sideRows: 0, sideColumns: 0 } as const;

/** `host` with the sum in front; the sum's source and outputs are its last bindings. */
export function withSideSum(host: Dispatch, sum: SideSum): Dispatch {
  const { rows, columns, source, outputs } = sum;
  const [x, y, z] = host.workgroups;
  const sides = Math.ceil(columns / (host.sideThreads as number));
  const first = host.bindings.length + 1;
  const bindings = [source, ...outputs];
  const declarations = bindings.map((_, i) =>
    i === 0
      ? bindingText(first, 'read', 'sideIn', 'array<f32>')
      : bindingText(first + i, 'read_write', `sideOut${i}`, 'array<f32>'),
  );
  const half = 'params.sideColumns / 2u';
  const store =
    bindings.length === 2
      ? 'sideOut1[column] = value;'
      : `if (column < ${half}) { sideOut1[column] = value; } else { sideOut2[column - ${half}] = value; }`;
  return {
    ...host,
    sideThreads: undefined,
    constants: { ...host.constants, SIDED: true },
    functions: {
      ...host.functions,
      sideSource: 'fn sideSource(index: u32) -> f32 { return sideIn[index]; }',
      sideStore: `fn sideStore(column: u32, value: f32) { ${store} }`,
    },
    declarations: [host.declarations, ...declarations].filter(Boolean).join('\n'),
    bindings: [...host.bindings, ...bindings],
    uniforms: { ...host.uniforms, sides, sideRows: rows, sideColumns: columns },
    workgroups: grid(x * y * z + sides),
    turns: Math.max(host.turns ?? 0, loop(rows / 8) + loop(7)),
  };
}
