import type { DType } from '../core/dtype.ts';
import type { SideSum } from './sideSum.ts';

/**
 * What the kernels of weft look like to the rest of it: pure descriptions, no device.
 *
 * An op names a family and a problem; the family picks a variant; the variant answers with a `KernelCall`: the
 * dispatches to record, in order, and the scratch memory they need.
 */

/** How an operand lies in its buffer. Strides and offset count elements; a dense operand has row-major strides, offset 0. */
export interface Operand {
  /** Extents, outermost first. */
  readonly shape: readonly number[];
  /** Elements from one position to the next, for each dimension. */
  readonly strides: readonly number[];
  /** Elements before the first one. */
  readonly offset: number;
  /** Type of the elements. */
  readonly dtype: DType;
}

/** What one storage binding of a dispatch refers to: the op's inputs and outputs by position, scratch memory, or the status of its submit. */
export type BindingSource =
  | {
      /** An input or an output of the op, or scratch memory. */
      readonly kind: 'input' | 'output' | 'scratch';
      /** Position among those of its kind. */
      readonly index: number;
    }
  | {
      /** An input that the kernel overwrites with an output, through one read_write binding. */
      readonly kind: 'inout';
      /** Position of the input. */
      readonly input: number;
      /** Position of the output. */
      readonly output: number;
    }
  | {
      /** The status of the submit. */
      readonly kind: 'status';
    }
  | {
      /** The status together with what optimizers' kernels tell of their steps in it; they never make the submit fail. */
      readonly kind: 'findings';
    };

/** Binds input `index` of the op, read only. */
export const input = (index: number): BindingSource => ({ kind: 'input', index });
/** Binds output `index` of the op, which the kernel writes. */
export const output = (index: number): BindingSource => ({ kind: 'output', index });
/** Binds input `input`, which the kernel overwrites with output `output`. */
export const inout = (input: number, output: number): BindingSource => ({ kind: 'inout', input, output });
/** Binds scratch buffer `index` of the `KernelCall`. */
export const scratch = (index: number): BindingSource => ({ kind: 'scratch', index });
export const status: BindingSource = { kind: 'status' };
export const findings: BindingSource = { kind: 'findings' };

/** One dispatch, before there is a pipeline for it. */
export interface Dispatch {
  /** family/variant[/stage], as it stands in labels, plans and profiles. */
  readonly kernel: string;
  /** The text of the .wgsl file. */
  readonly source: string;
  /** Values for top-level `const` and `alias` declarations of the shader. */
  readonly constants?: Readonly<Record<string, number | boolean | string>>;
  /** New texts for functions that the shader declares as hooks: name → whole function. */
  readonly functions?: Readonly<Record<string, string>>;
  /** Bindings of the shader that are left out, by name: their place is taken by `declarations`. */
  readonly without?: readonly string[];
  /** Declarations put in front of the shader: bindings and helpers that replaced functions use. */
  readonly declarations?: string;
  /** Files of shaders/lib/ that replaced functions use beyond those that the shader names itself. */
  readonly library?: readonly string[];
  /** Files of shaders/lib/ that are taken in place of those that the shader names, by these. */
  readonly instead?: Readonly<Record<string, string>>;
  /** Storage bindings in the order of `@binding(1)`, `@binding(2)`, …; binding 0 is the uniform block. */
  readonly bindings: readonly BindingSource[];
  /** Values of the fields of `struct Params`, by name. */
  readonly uniforms?: Readonly<Record<string, number>>;
  /** Number of workgroups; a variant folds grids above 65,535 itself. */
  readonly workgroups: readonly [number, number, number];
  /** The most turns that an invocation takes of all its loops together, from above; none where left out. See loopLimit.ts. */
  readonly turns?: number;
  /** Whether the kernel does nothing where the status of its submit is set; that is bound last, beyond `bindings`. */
  readonly guarded?: boolean;
  /** Set where this is a sum that another dispatch could make. */
  readonly sideSum?: SideSum;
  /** Invocations of a workgroup, where the first workgroups could make such a sum: the shader calls `sideSum`. */
  readonly sideThreads?: number | undefined;
}

/** What a variant answers: dispatches in order, and scratch buffers by size in bytes. */
export interface KernelCall {
  /** The dispatches, in the order in which they run. */
  readonly dispatches: readonly Dispatch[];
  /** Bytes of each scratch buffer; none where left out. */
  readonly scratch?: readonly number[];
}

/** `gpu` prefers few dispatches and workgroup memory; `software` prefers registers and few barriers. Can be pinned. */
export type SelectionProfile = 'gpu' | 'software';

/** What selection may know about a device. */
export interface DeviceProfile {
  /** What the rules of families prefer on such a device. */
  readonly selection: SelectionProfile;
  /** Storage buffers that one shader stage may bind. */
  readonly storageBuffers: number;
  /** Bytes of memory that the invocations of a workgroup may share. */
  readonly workgroupMemory: number;
  /** Invocations that a workgroup may have. */
  readonly invocations: number;
  /** Bytes that one storage binding may span. */
  readonly bindingBytes: number;
  /** Bytes that one buffer may have. */
  readonly bufferBytes: number;
  /** Whether lanes can read each other's values; never needed, and no result depends on how many can. */
  readonly subgroups: boolean;
  /** Turns of its loops that an invocation can take before the driver ends them; Infinity where there is no limit. */
  readonly loopLimit: number;
  /** Variants that were measured, or pinned by hand, and go before the rule of their family. */
  readonly choices?: Choices;
}

/** Variant names by family (`matmul`), or by family and class of shapes (`matmul NN 512 512 512`), which goes first. */
export type Choices = Readonly<Record<string, string>>;

/** What every WebGPU device has. */
export const defaultProfile: DeviceProfile = {
  selection: 'gpu',
  storageBuffers: 8,
  workgroupMemory: 16384,
  invocations: 256,
  bindingBytes: 128 * 1024 * 1024,
  bufferBytes: 256 * 1024 * 1024,
  subgroups: false,
  loopLimit: Number.POSITIVE_INFINITY,
};

/** One way to compute a problem. */
export interface Variant<Problem> {
  /** null where the variant can do the problem on this device, else the reason why not. */
  unsupported?(problem: Problem, profile: DeviceProfile): string | null;
  /** Its dispatches; a variant that can split a long loop does so where the device's limit asks for it. */
  call(problem: Problem, profile: DeviceProfile): KernelCall;
}

/** A family of kernels: several variants behind one problem type, and one readable rule that picks among them. */
export interface Family<Problem> {
  readonly name: string;
  readonly variants: Readonly<Record<string, Variant<Problem>>>;
  select(problem: Problem, profile: DeviceProfile): string;
  /** Problems for which the same variant can be expected to win have the same text; by default all of the family. */
  shapeClass?(problem: Problem): string;
}

/**
 * An elementwise tail fused into a kernel that declares `fn store(index: u32, value: f32)` as a hook.
 * `index` is the row-major index in the kernel's (logical) output.
 */
export interface StoreHook {
  /** Replacement of `store`. */
  readonly functions: Readonly<Record<string, string>>;
  /** Declarations of the further bindings; the first of them is `@binding(firstBinding)`. */
  declarations(firstBinding: number): string;
  /** Files of shaders/lib/ that the functions use. */
  readonly library: readonly string[];
  readonly bindings: readonly BindingSource[];
  /**
   * The same for a kernel that hands over four neighbours at once through the hook
   * `fn storeFour(index: u32, value: vec4<f32>)`, and whose `output` is an array of vec4; where the tail can take them so.
   */
  readonly four?: Pick<StoreHook, 'functions' | 'declarations'> & {
    readonly constants: Readonly<Record<string, string>>;
  };
}

/** An elementwise producer fused into a kernel that declares `fn load(index: u32) -> f32` as a hook; it replaces the binding of the input. */
export interface LoadHook extends StoreHook {
  /** Whether a value is chosen by where its index lies, as that of a concatenation is: many of them take long to compile. */
  readonly windowed?: boolean;
}

/** Workgroups for `count` units of work, folded into two dimensions where they exceed the limit of 65,535 for one. */
export function grid(count: number): [number, number, number] {
  if (count <= 65535) return [count, 1, 1];
  const y = Math.ceil(count / 65535);
  return [Math.ceil(count / y), y, 1];
}
