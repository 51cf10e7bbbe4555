import { noGrad } from '../graph/record.ts';
import { State } from '../graph/state.ts';
import { zeros } from '../ops/elementwise.ts';
import { packValues } from '../ops/packing.ts';
import { pack, packedSize, reshape, slice } from '../ops/view.ts';
import type { Parameter, Tensor } from '../tensor.ts';

/** A binding is 128 MiB on every device: that many f32 values to a pack, unless one parameter alone has more. */
const largestPack = 2 ** 25;
/** Groups that one update kernel tells apart. */
const mostGroups = 8;

/** Gradients in one flat tensor, in the order of a pack, and the factor [1] that they are still to be multiplied by. */
export interface FlatGradients {
  readonly flat: Tensor;
  readonly scale: Tensor | null;
}

/** Parameters of an optimizer that lie one after another in one state, so that one dispatch updates them all. */
export class ParameterPack {
  /** Values of all parameters [N]. */
  readonly state: State;
  readonly members: readonly Parameter[];
  /** Which groups of the optimizer are here, and the element at which each ends. */
  readonly groups: readonly number[];
  readonly ends: readonly number[];

  constructor(parts: readonly { readonly group: number; readonly parameter: Parameter }[]) {
    this.members = parts.map(({ parameter }) => parameter);
    this.groups = [...new Set(parts.map(({ group }) => group))];
    this.state = new State(packValues(this.members), 'parameters');
    const ends = new Map<number, number>();
    let offset = 0;
    for (const { group, parameter } of parts) {
      parameter.state.moveTo(this.state, offset);
      offset += packedSize(parameter.shape);
      ends.set(group, offset);
    }
    this.ends = [...ends.values()];
    packs.set(this.state, this);
  }

  get length(): number {
    return this.ends.at(-1) as number;
  }

  /** A state of zeros for the same parameters. */
  zeros(label: string): State {
    return new State(
      noGrad(() => zeros([this.length])),
      label,
    );
  }

  /** The parts of a flat tensor [N] that belong to the parameters. */
  unpack(flat: Tensor): Tensor[] {
    return this.members.map(({ state, shape, size }) => {
      const offset = state.home?.offset as number;
      return reshape(slice(flat, [[offset, offset + size]]), shape);
    });
  }

  /** The gradients of all members; zeros where one has none, null where none has. */
  gradients(): FlatGradients | null {
    const own = this.members.map(({ grad }) => grad);
    const present = own.filter((gradient) => gradient !== null);
    if (present.length === 0) return null;
    const known = clippings.get(present[0] as Tensor);
    if (
      known?.pack === this &&
      known.count === present.length &&
      present.every((gradient) => clippings.get(gradient) === known)
    )
      return known;
    return {
      flat: pack(own.map((gradient, i) => gradient ?? zeros((this.members[i] as Parameter).shape))),
      scale: null,
    };
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

/** One flat tensor of gradients and their factor, in place of which each parameter has the product as its `grad`. */
export interface Clipping extends FlatGradients {
  readonly pack: ParameterPack;
  /** Members that had a gradient. */
  readonly count: number;
}
/** Which clipping made a gradient. The optimizer then takes flat gradients and factor, and the products are never computed. */
export const clippings = new WeakMap<Tensor, Clipping>();

/** Lays out the parameters of an optimizer's groups. */
export function packGroups(groups: readonly { readonly params: readonly Parameter[] }[]): ParameterPack[] {
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
      const newGroup = parts.at(-1)?.group !== group;
      if (length + size > largestPack || (newGroup && new Set(parts.map((part) => part.group)).size === mostGroups))
        close();
      parts.push({ group, parameter });
      length += size;
    }
  }
  close();
  return made;
}
