import { callback, declareOptions, text } from '../core/options.ts';
import type { Attributes, TensorType } from '../core/types.ts';
import type { Node } from '../graph/node.ts';
import type { OpDef } from '../graph/op.ts';
import { apply } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import type { DeviceProfile, KernelCall, Operand } from '../kernels/kernel.ts';

/** An op of one's own, in one object. */
export interface OpDefinition {
  /** Names the op in messages, labels and profiles. */
  readonly name: string;
  /** Types of the outputs from those of the inputs; throws where they don't fit. */
  infer(inputs: readonly TensorType[], attributes: Attributes): TensorType[];
  /**
   * The dispatches that compute the outputs: WGSL source, bindings, uniforms, workgroups. Inputs are dense. With long loops
   * they state their `turns`, and keep to `profile.loopLimit`: the call throws UnsupportedError where they don't.
   */
  kernel(inputs: readonly Operand[], attributes: Attributes, profile: DeviceProfile): KernelCall;
  /** Gradients of the inputs from those of the outputs; null stops a path. */
  gradient?(node: Node, outputGradients: readonly (Tensor | null)[]): readonly (Tensor | null)[];
  /** The op in plain ops, for gradients of gradients and for tests. */
  decompose?(inputs: readonly Tensor[], attributes: Attributes): readonly Tensor[];
}

const defineOptions = declareOptions<OpDefinition>(
  { name: text, infer: callback, kernel: callback, gradient: callback, decompose: callback },
  ['name', 'infer', 'kernel'],
);

/**
 * Makes an op from WGSL of one's own, and returns the function that records a call of it: it fuses, plans and
 * differentiates like the built-in ops. The shader follows the conventions of shaders/: `struct Params` in binding 0,
 * storage bindings from 1 on.
 */
export function defineOp(
  definition: OpDefinition,
): (inputs: readonly Tensor[], attributes?: Attributes) => readonly Tensor[] {
  defineOptions('defineOp', definition);
  const { name, infer, kernel, gradient, decompose } = definition;
  const op: OpDef = {
    name,
    infer,
    lowering: {
      kind: 'kernel',
      problem: ({ attributes }, operands) => {
        const own = { call: (_: null, profile: DeviceProfile) => kernel(operands, attributes, profile) };
        return familyCall({ name, variants: { own }, select: () => 'own' }, null);
      },
    },
    ...(gradient ? { gradient } : {}),
    ...(decompose ? { decompose } : {}),
  };
  return (inputs, attributes = {}) => apply(op, inputs, attributes);
}
