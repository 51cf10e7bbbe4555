import { formatShape } from '../core/shape.ts';
import { byteSize } from '../core/types.ts';
import { rootOf } from './ir.ts';
import type { Program } from './program.ts';

/** What a plan runs and how much memory it takes, in numbers. */
export interface PlanSummary {
  /** Dispatches in all. */
  readonly dispatches: number;
  /** Dispatches by family and variant. */
  readonly kernels: Readonly<Record<string, number>>;
  /** Copies between buffers, outside of kernels. */
  readonly copies: number;
  /** Submits of a replay. */
  readonly submits: number;
  /** Distinct pipelines. */
  readonly pipelines: number;
  /** Buffers of intermediate values; all plans of a device share them. */
  readonly slabs: readonly number[];
  /** Bytes of intermediate values: slabs, and what has memory of its own. */
  readonly peakBytes: number;
  /** The largest sum of live bytes: no plan of these commands can do with less. */
  readonly lowerBoundBytes: number;
  /** States that are overwritten in place. */
  readonly statesInPlace: number;
  /** States that are computed elsewhere and copied at the end of a replay. */
  readonly statesCopied: number;
}

export function summarise(program: Program): PlanSummary {
  const kernels: Record<string, number> = {};
  const texts = new Set<string>();
  let copies = 0;
  for (const command of program.commands) {
    if (command.kind === 'copy') copies++;
    else {
      const name = command.dispatch.kernel.startsWith('elementwise/') ? 'elementwise' : command.dispatch.kernel;
      kernels[name] = (kernels[name] ?? 0) + 1;
      texts.add(command.shader.code);
    }
  }
  const inPlace = program.updates.filter((update) => update.inPlace).length;
  return {
    dispatches: program.commands.length - copies,
    kernels,
    copies,
    submits: 1,
    pipelines: texts.size,
    slabs: program.memory.slabs,
    peakBytes: program.memory.peak,
    lowerBoundBytes: program.memory.lowerBound,
    statesInPlace: inPlace,
    statesCopied: program.updates.length - inPlace,
  };
}

/**
 * Describes a program as text: the recorded nodes, then each kernel with what was fused into it, its grid and its memory.
 */
export function explainProgram(program: Program): string {
  const lines = [`${program.nodes.length} nodes`];
  const names = new Map(program.nodes.map((node, i) => [node, `%${i}`]));
  for (const [i, node] of program.nodes.entries()) {
    const inputs = node.inputs
      .map((input) => names.get(input.node) ?? `${input.node.op.name}${formatShape(input.shape)}`)
      .join(', ');
    lines.push(
      `  %${i} = ${node.op.name}(${inputs}) → ${node.types.map(({ dtype, shape }) => `${dtype}${formatShape(shape)}`).join(', ')}`,
    );
  }
  const summary = summarise(program);
  lines.push(`${summary.dispatches} dispatches, ${summary.pipelines} pipelines, ${summary.copies} copies`);
  for (const [i, command] of program.commands.entries()) {
    if (command.kind === 'copy') {
      lines.push(
        `  ${i}  copy (${command.label}) ${command.from.label} → ${command.to.label}, ${byteSize(command.from.type)} bytes`,
      );
      continue;
    }
    const fused = command.fused.length > 0 ? `  fused: ${command.fused.join(' → ')}` : '';
    lines.push(`  ${i}  ${command.label}  workgroups ${command.dispatch.workgroups.join('×')}${fused}`);
    const bindings = command.bindings.map((value, b) => {
      const place = program.memory.places.get(rootOf(value));
      const where = value.leaf ? 'outside' : place ? `slab ${place.slab} @ ${place.offset}` : 'own';
      return `${command.shader.access[b] === 'r' ? 'reads' : 'writes'} ${value.label} ${byteSize(value.type)} B (${where})`;
    });
    lines.push(`        ${bindings.join(', ')}`);
  }
  lines.push(
    `memory: ${summary.slabs.length} slabs, ${summary.peakBytes} bytes; live at once at most ${summary.lowerBoundBytes} bytes`,
  );
  return lines.join('\n');
}
