import type { Layout } from '../core/layout.ts';
import type { Attributes, TensorType } from '../core/types.ts';
import type { Expression, ExpressionContext, Window } from '../kernels/expression.ts';
import type { FamilyCall } from '../kernels/family.ts';
import type { LoadHook, Operand, StoreHook } from '../kernels/kernel.ts';
import type { Node } from './node.ts';
import type { Tensor } from './tensor.ts';

/** Something for each tensor of a list, in its order: `[a: Tensor, b: Tensor]` with shapes is `[a: Shape, b: Shape]`. */
export type Each<List extends readonly Tensor[], Item> = { readonly [Position in keyof List]: Item };

/** What `make` gives for each tensor of a list. */
export function each<List extends readonly Tensor[], Item>(
  list: Readonly<List>,
  make: (tensor: Tensor, position: number) => Item,
): Each<List, Item> {
  return list.map(make) as readonly Item[] as Each<List, Item>;
}

/** How an op reaches the GPU. */
export type Lowering<
  Inputs extends readonly Tensor[] = readonly Tensor[],
  Own extends Attributes = Attributes,
  Outputs extends readonly Tensor[] = readonly Tensor[],
> =
  | LeafLowering
  | ViewLowering<Inputs, Own, Outputs>
  | ElementwiseLowering<Inputs, Own, Outputs>
  | KernelLowering<Inputs, Own, Outputs>
  | PackLowering
  | SegmentLowering
  | ScanLowering;

/** A value that comes from outside the graph: host data, a version of a state, an input of a plan. */
export interface LeafLowering {
  readonly kind: 'leaf';
}

/** Another way to look at the same memory; costs nothing where the consumer reads strided operands. */
export interface ViewLowering<
  Inputs extends readonly Tensor[] = readonly Tensor[],
  Own extends Attributes = Attributes,
  Outputs extends readonly Tensor[] = readonly Tensor[],
> {
  readonly kind: 'view';
  /** The layout of an output, given that of the input; null where strides cannot express it and a copy is needed. */
  layout(input: Layout, node: Node<Inputs, Own, Outputs>, output: number): Layout | null;
  /** Which input an output looks at; the first where left out. */
  source?(output: number): number;
  /** True where no reader may be computed together with what made the input, and so sooner than the reader's turn. */
  readonly barrier?: boolean;
}

/** One output element from the elements of the inputs at the same (broadcast) position. Chains fuse into one kernel. */
export interface ElementwiseLowering<
  Inputs extends readonly Tensor[] = readonly Tensor[],
  Own extends Attributes = Attributes,
  Outputs extends readonly Tensor[] = readonly Tensor[],
> extends Expression {
  readonly kind: 'elementwise';
  expression(inputs: Each<Inputs, string>, attributes: Own, context: ExpressionContext): string;
  /** For an op that gives one repeated value: the value, which becomes part of the kernels that read it. */
  constant?(attributes: Own): number;
  /** Inputs that are read through `element` only. */
  readonly tables?: readonly number[];
  /** For ops whose inputs cover only a part of the output. */
  window?(input: Layout, index: number, node: Node<Inputs, Own, Outputs>): Window;
}

/** Where the outputs of a node lie. */
export interface Placement {
  /** The values that the kernel writes, in the order of its bindings. */
  readonly values: readonly TensorType[];
  /** For each output, which of the values it lies in, and how. */
  readonly outputs: readonly { readonly value: number; readonly layout: Layout }[];
}

/** What a node can ask about its neighbours when it chooses where its outputs lie. */
export interface Surroundings {
  /** Whether two inputs are views of one value. */
  together(a: number, b: number): boolean;
  /** Whether an output is handed out as it is, and so wanted dense. */
  isResult(output: number): boolean;
}

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
}

/** A sum over the rows of input `input` that a kernel makes beside its own work, as output `output`. */
export interface SumHook {
  readonly input: number;
  readonly output: number;
}

/** A kernel of a family. */
export interface KernelLowering<
  Inputs extends readonly Tensor[] = readonly Tensor[],
  Own extends Attributes = Attributes,
  Outputs extends readonly Tensor[] = readonly Tensor[],
> {
  readonly kind: 'kernel';
  /** Names the family and states the problem; operands and results tell how inputs and outputs lie in memory. */
  problem(
    node: Node<Inputs, Own, Outputs>,
    operands: Each<Inputs, Operand>,
    hooks: { readonly store?: StoreHook; readonly load?: LoadHook; readonly sum?: SumHook },
    results: Each<Outputs, Operand>,
  ): FamilyCall;
  /** Whether the family reads input `index` with these strides; dense operands are always taken. */
  strided?(operand: Operand, index: number, node: Node<Inputs, Own, Outputs>): boolean;
  /** Where the outputs lie, where not each dense in a value of its own. */
  place?(node: Node<Inputs, Own, Outputs>, operands: Each<Inputs, Operand>, surroundings: Surroundings): Placement;
  /** The sentence to throw when the kernel meets bad data; null where a node's does not look for any. */
  badData?(node: Node<Inputs, Own, Outputs>): string | null;
  /** True where the kernel reads the submit's status, and leaves states that it updates as they were where that is set. */
  readonly keeps?: boolean;
  /** True where an elementwise tail may be fused into output 0. */
  readonly store?: boolean;
  /** True where an elementwise producer of input 0 may be fused in. */
  readonly load?: boolean;
  /** For an op that sums the rows of input 0, seen as a dense matrix, and does nothing else: the matrix. */
  rowSum?(node: Node<Inputs, Own, Outputs>): Matrix | null;
  /** The dense matrix as which the kernel reads input `index`, where it can sum its rows beside its own work. */
  sums?(operand: Operand, index: number): Matrix | null;
}

/** Lays values one after another in one flat buffer: each producer writes its part directly where it can. */
export interface PackLowering {
  readonly kind: 'pack';
}

/** A part of a pack, bound as a sub-range of its buffer: attribute `offset`, in elements. */
export interface SegmentLowering {
  readonly kind: 'segment';
}

/** A sub-plan replayed over time. Inputs of the node: initial carries, stacked xs, captured; outputs: last carries, stacked ys. */
export interface ScanLowering {
  readonly kind: 'scan';
  readonly length: number;
  readonly reverse: boolean;
  readonly body: ScanBody;
}

/** The traced body of a scan: placeholders, and what one step makes of them (next carries, then ys). */
export interface ScanBody {
  readonly carries: readonly Tensor[];
  readonly slices: readonly Tensor[];
  readonly captured: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

/**
 * Gradients of the outputs of an op. That of a single one is there, or nobody would ask; of several, those are null that
 * nothing depends on.
 */
type OutputGradients<Outputs extends readonly Tensor[]> = Each<
  Outputs,
  Outputs extends readonly [Tensor] ? Tensor : Tensor | null
>;

/** How an op works on the values of all steps of a scan in one call. Each marked input has a dimension for the steps in front. */
export interface AtOnce<Inputs extends readonly Tensor[] = readonly Tensor[], Own extends Attributes = Attributes> {
  /** Whether it can where these inputs are marked, of which there is at least one; always, where left out. */
  accepts?(marked: Each<Inputs, boolean>, inputs: Each<Inputs, TensorType>): boolean;
  /** The outputs, each with the dimension in front. */
  apply(inputs: Each<Inputs, Tensor>, attributes: Own, marked: Each<Inputs, boolean>): readonly Tensor[];
}

/** What an op has that needs nothing besides its inputs. */
export type NoAttributes = Readonly<Record<string, never>>;

/**
 * Everything weft knows about an op, in one place. The names and types of its inputs, attributes and outputs are said once,
 * as in `Op<[x: Tensor, ids: Tensor], { axis: number }, [values: Tensor, positions: Tensor]>`, and hold in each of its
 * functions. Where left out there are no attributes, and there is one output.
 */
export interface Op<
  Inputs extends readonly Tensor[],
  Own extends Attributes = NoAttributes,
  Outputs extends readonly Tensor[] = [y: Tensor],
> {
  readonly name: string;
  /** The shape rule: types of the outputs, or a ShapeError or DTypeError. */
  infer(inputs: Each<Inputs, TensorType>, attributes: Own): Each<Outputs, TensorType>;
  readonly lowering: Lowering<Inputs, Own, Outputs>;
  /**
   * Gradients of the inputs, given those of the outputs. Null stops a path. A gradient may come in the broadcast shape: the driver sums it down to the input's. `wanted` tells for each input
   * whether anybody asks for its gradient; what is not wanted may be given all the same.
   */
  gradient?(
    node: Node<Inputs, Own, Outputs>,
    outputGradients: OutputGradients<Outputs>,
    wanted: Each<Inputs, boolean>,
  ): Each<Inputs, Tensor | null>;
  /** The op in plain ops: for gradients of gradients, and for tests. The first outputs, where nobody asks for the others. */
  decompose?(inputs: Each<Inputs, Tensor>, attributes: Own): readonly Tensor[];
  /** All steps of a scan in one call; elementwise ops that look at nothing but their elements need no rule. */
  readonly atOnce?: AtOnce<Inputs, Own>;
}

/**
 * An op of whatever inputs, attributes and outputs, for those who handle them all. Each `Op` is one, because it is declared
 * with methods, whose parameters the compiler lets be narrower; `apply` sees to it that they get what they ask for.
 */
export type OpDef = Op<readonly Tensor[], Attributes, readonly Tensor[]>;
