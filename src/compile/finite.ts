import { formatShape, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { Node } from '../graph/node.ts';
import type { Tensor } from '../graph/tensor.ts';
import { finiteCheck } from '../kernels/finite.ts';
import { rootOf, type Value } from './ir.ts';
import { type Command, emit } from './schedule.ts';

/** How many ops of a chain a message names. */
const namedOps = 4;

/**
 * The results that are checked where each must be finite: every computed f32 value. They become roots of the graph, so
 * that none is fused away.
 */
export function watchedOf(nodes: readonly Node[]): Tensor[] {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  return nodes.flatMap(({ op: { lowering }, outputs }) => {
    const computes =
      lowering.kind === 'kernel' ||
      lowering.kind === 'scan' ||
      (lowering.kind === 'elementwise' && lowering.constant === undefined);
    // A scan has results that nobody reads, and that are not made then.
    const isMade = (output: Tensor) => lowering.kind !== 'scan' || read.has(output);
    return computes ? outputs.filter((output) => output.dtype === 'f32' && isMade(output)) : [];
  });
}

/** A watched result, and where it lies. */
export interface Watched {
  readonly tensor: Tensor;
  readonly value: Value;
}

/** Inserts a check of each watched value behind the last command that writes it. */
export function withFiniteChecks(commands: readonly Command[], watched: readonly Watched[]): Command[] {
  const checks = new Map<number, Command[]>();
  for (const { tensor, value } of watched) {
    const own = commands.findLastIndex((command) => written(command).includes(value));
    const after =
      own >= 0 ? own : commands.findLastIndex((command) => written(command).map(rootOf).includes(rootOf(value)));
    const { shape } = value.type;
    const badData = sentence(tensor);
    const check = emit(finiteCheck(sizeOf(shape)), [value], [], [], shape);
    const list = checks.get(after) ?? [];
    list.push(...check.map((command) => ({ ...command, badData })));
    checks.set(after, list);
  }
  return [...(checks.get(-1) ?? []), ...commands.flatMap((command, i) => [command, ...(checks.get(i) ?? [])])];
}

function written(command: Command): readonly Value[] {
  if (command.kind === 'copy') return [command.to];
  return command.bindings.filter((_, i) => command.shader.access[i] === 'w');
}

function sentence({ node, shape }: Tensor): string {
  const chain: string[] = [];
  let at: Node | undefined = node;
  while (at && chain.length < namedOps) {
    chain.unshift(`${at.op.name} ${formatShape((at.types[0] as TensorType).shape)}`);
    // Goes back along the first input that was computed.
    const before: Node = at;
    at = (before.inputs.find((input) => input.node.op.lowering.kind !== 'leaf') ?? before.inputs[0])?.node;
  }
  return (
    `[compile] checkFinite: ${node.op.name} ${formatShape(shape)} is the first op of the step whose result is not finite ` +
    `(${chain.join(' → ')}); look at its inputs and at how large they are`
  );
}
