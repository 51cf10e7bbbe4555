import { fromHost } from '../graph/leaf.ts';
import { packedSize } from '../graph/packing.ts';
import type { Parameter } from '../graph/parameter.ts';
import { noGrad } from '../graph/record.ts';
import { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Telling } from '../kernels/updates.ts';
import { abs, maximum, zeros } from '../ops/elementwise.ts';
import { pack, packValues } from '../ops/packing.ts';
import { max } from '../ops/reduce.ts';
import { slice } from '../ops/slice.ts';
import { gateSteps, leftAlone, packedBlock, type Skip, type Turn } from '../ops/updates.ts';
import { reshape } from '../ops/view.ts';

/**
 * Elements of a pack: as many f32 values as the 128 MiB of a binding hold on every device. A larger parameter has a pack
 * of its own.
 */
export const largestPack = 2 ** 25;

/** Gradients in one flat tensor, in the order of a pack, and the scale [1] of a clipping whose factor they still lack. */
export interface FlatGradients {
  readonly flat: Tensor;
  readonly scale: Tensor | null;
}

/** The gradient that an optimizer follows: a frozen parameter is left alone, whatever gradient it still has. */
export const gradientFor = (parameter: Parameter): Tensor | null => (parameter.requiresGrad ? parameter.grad : null);

/** Parameters of an optimizer that lie one after another in one state, so that one dispatch updates them all. */
export class ParameterPack {
  /** Values of all parameters [N]. */
  readonly state: State;
  readonly members: readonly Parameter[];
  /** Elements of the pack. */
  readonly length: number;
  /** Which groups of the optimizer are here, one after another, and the element that follows the last of each. */
  readonly groups: readonly { readonly group: number; readonly end: number }[];
  /** For each member the position of its group in `groups`. */
  readonly #groupOf: readonly number[];
  /** Steps that each member has made [members], i32. */
  readonly counts: State;
  #table: Tensor | null = null;
  /** Tables of groups, by the set of members that have gradients, which seldom changes. */
  readonly #groupTables = new Map<string, Tensor>();

  constructor(parts: readonly { readonly group: number; readonly parameter: Parameter }[]) {
    this.members = parts.map(({ parameter }) => parameter);
    this.state = new State(packValues(this.members), 'parameters');
    const ends = new Map<number, number>();
    let offset = 0;
    for (const { group, parameter } of parts) {
      parameter.state.moveTo(this.state, offset);
      offset += packedSize(parameter.shape);
      ends.set(group, offset);
    }
    this.length = offset;
    this.groups = [...ends].map(([group, end]) => ({ group, end }));
    const order = [...ends.keys()];
    this.#groupOf = parts.map(({ group }) => order.indexOf(group));
    this.counts = new State(this.countsOf(this.members.map(() => 0)), 'steps');
    packs.set(this.state, this);
  }

  /** A state of zeros for the same parameters. */
  zeros(label: string): State {
    return new State(
      noGrad(() => zeros([this.length])),
      label,
    );
  }

  /** Numbers of steps [members], one for each parameter. */
  countsOf(counts: readonly number[]): Tensor {
    return fromHost({ shape: [counts.length], dtype: 'i32' }, Int32Array.from(counts));
  }

  /** The step that each member makes by itself, where it has a gradient, and nothing leaves the step out; counts it. */
  ownTurns(scale: Tensor | null, skip: Skip | null): Turn {
    const { counts, gate } = gateSteps(this.counts.value, this.#presentGroups(), scale, skip);
    this.counts.assign(counts);
    this.#table ??= this.#memberTable();
    return { gate, table: this.#table };
  }

  /** The member that each block of the pack belongs to. */
  #memberTable(): Tensor {
    const blocks = this.members.flatMap(({ shape }, member) =>
      new Array<number>(packedSize(shape) / packedBlock).fill(member),
    );
    return fromHost({ shape: [blocks.length], dtype: 'u32' }, Uint32Array.from(blocks));
  }

  /** The group of each member that has a gradient; the others are left alone. */
  #presentGroups(): Tensor {
    const groups = this.members.map((member, i) => (gradientFor(member) ? (this.#groupOf[i] as number) : leftAlone));
    const key = groups.join();
    const known = this.#groupTables.get(key);
    if (known) return known;
    const table = fromHost({ shape: [groups.length], dtype: 'u32' }, Uint32Array.from(groups));
    this.#groupTables.set(key, table);
    return table;
  }

  /** The parts of a flat tensor [N] that belong to the parameters. */
  unpack(flat: Tensor): Tensor[] {
    return this.members.map(({ state, shape, size }) => {
      const offset = state.home?.offset as number;
      return reshape(slice(flat, [[offset, offset + size]]), shape);
    });
  }

  /** The gradients of the members that have one, each in its place; null where none has. */
  gradients(): FlatGradients | null {
    const own = this.members.map(gradientFor);
    const present = own.filter((gradient) => gradient !== null);
    if (present.length === 0) return null;
    const known = clippings.get(present[0] as Tensor);
    if (
      known?.pack === this &&
      known.count === present.length &&
      present.every((gradient) => clippings.get(gradient) === known)
    )
      return known;
    const parts = own.map(
      (gradient, i) => gradient ?? { shape: (this.members[i] as Parameter).shape, absent: true as const },
    );
    return { flat: pack(parts), scale: null };
  }

  /** True while no other optimizer has taken the parameters. */
  get holds(): boolean {
    return this.members.every(({ state }) => state.home?.pack === this.state);
  }
}

const packs = new WeakMap<State, ParameterPack>();

/** The pack that a parameter lies in. */
export function packOf(parameter: Parameter): ParameterPack | undefined {
  return parameter.state.home ? packs.get(parameter.state.home.pack) : undefined;
}

/** A clipping: one flat tensor of gradients and their factor. Each parameter has the product as its `grad`. */
export interface Clipping extends FlatGradients {
  readonly pack: ParameterPack;
  /** Members that had a gradient. */
  readonly count: number;
}
/**
 * The clipping that made a gradient. The optimizer then takes flat gradients and factor, and the products are never
 * computed.
 */
export const clippings = new WeakMap<Tensor, Clipping>();

/** Lays out the parameters of an optimizer's groups, in packs of at most so many elements. */
export function packGroups(
  groups: readonly { readonly params: readonly Parameter[] }[],
  largest: number,
): ParameterPack[] {
  const made: ParameterPack[] = [];
  let parts: { group: number; parameter: Parameter }[] = [];
  let length = 0;
  const close = () => {
    if (parts.length > 0) made.push(new ParameterPack(parts));
    parts = [];
    length = 0;
  };
  for (const [group, { params }] of groups.entries()) {
    for (const parameter of params) {
      const size = packedSize(parameter.shape);
      if (length + size > largest) close();
      parts.push({ group, parameter });
      length += size;
    }
  }
  close();
  return made;
}

/** What a step does to a pack. */
export interface Update {
  readonly pack: ParameterPack;
  /** Gradients of the parameters, flat [N]. */
  readonly gradients: Tensor;
  /** Settings of the groups as numbers, see `hyper`. */
  readonly hyper: Tensor;
  /** Which step each parameter makes. */
  readonly turn: Turn;
  /** Where the kernel tells of what it finds. */
  readonly telling: Telling;
  /** The pack's states by name. */
  readonly states: ReadonlyMap<string, State>;
}

/** All parameters of the pack make the same step, or each its own. */
export function turnOf(pack: ParameterPack, { scale }: FlatGradients, together: boolean, skip: Skip | null): Turn {
  return together && !skip ? { counts: pack.counts.value, scale } : pack.ownTurns(scale, skip);
}

/** The greatest magnitude among gradients, a scalar: ∞ or NaN where one of them is not finite. */
export const worstOf = (flats: readonly Tensor[]): Tensor =>
  flats.map((flat) => max(abs(flat))).reduce((a, b) => maximum(a, b));
