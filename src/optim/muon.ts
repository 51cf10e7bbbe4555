import { ValueError } from '../core/errors.ts';
import { groupBy } from '../core/groupBy.ts';
import { nth } from '../core/lists.ts';
import { declareOptions, finite, flag, integerFrom, type Kinds, listOf, notNegative, oneOf } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import type { Parameter } from '../graph/parameter.ts';
import type { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { add, div, greater, maximum, mul, sqrt, square, sub, where } from '../ops/elementwise.ts';
import { embedding } from '../ops/embedding.ts';
import { concat, stack, unbind } from '../ops/join.ts';
import { matmul } from '../ops/matmul.ts';
import { pack as packed } from '../ops/packing.ts';
import { sum } from '../ops/reduce.ts';
import { slice } from '../ops/slice.ts';
import { muonHyper, packedBlock, sgdUpdate, type Turn } from '../ops/updates.ts';
import { expand, reshape, transpose, unsqueeze } from '../ops/view.ts';
import {
  type CommonSettings,
  commonKinds,
  declareGroups,
  type StepOptions,
  stepKinds,
  type Trained,
  type Trainees,
} from './groups.ts';
import { Optimizer } from './optimizer.ts';
import type { ParameterPack, Update } from './pack.ts';
import { gateRuns, gateScale, unscaled } from './turns.ts';

/** Settings of Muon. */
export interface MuonSettings extends CommonSettings {
  /** Decay of the running mean of gradients; 0.95 by default. */
  momentum: number;
  /** Whether the direction looks ahead along the mean; default true. */
  nesterov: boolean;
}

/** Options of Muon that hold for all its parameters. */
export interface MuonOptions {
  /** a, b and c of a Newton–Schulz step, X ← aX + (bA + cA²)X with A = XXᵀ; 3.4445, −4.775 and 2.0315 by default. */
  nsCoefficients: readonly number[];
  /** Such steps; 5 by default. */
  nsSteps: number;
  /** The least norm that a direction is divided by; 1e-7 by default. */
  eps: number;
  /**
   * What the learning rate is multiplied by for a matrix [m, n]: √max(1, m/n), the `original` and default, or 0.2 √max(m, n), with
   * which rates for AdamW serve (Liu et al. 2025).
   */
  adjustLrFn: 'original' | 'matchRmsAdamW';
}

type All = MuonSettings & MuonOptions & StepOptions;
const defaults: MuonSettings = { lr: 1e-3, momentum: 0.95, nesterov: true, weightDecay: 0.1 };
const kinds: Kinds<MuonSettings> = { ...commonKinds, momentum: notNegative, nesterov: flag };
const ownKinds: Kinds<MuonOptions> = {
  nsCoefficients: listOf(finite),
  nsSteps: integerFrom(1, 99),
  eps: notNegative,
  adjustLrFn: oneOf('original', 'matchRmsAdamW'),
};
const muonOptions = declareOptions<All>({ ...kinds, ...ownKinds, ...stepKinds });
const muonGroups = declareGroups(kinds);

/**
 * Muon (Jordan et al. 2024), with the names and defaults of `torch.optim.Muon`, in f32: matrices go along the running mean of
 * their gradients, made orthogonal by Newton–Schulz steps, so that all directions count alike. Weight decay acts on the weights.
 * For the matrices of hidden layers; embeddings, heads, biases and gains want another optimizer beside it, such as AdamW. Throws a
 * ValueError for a parameter that is no matrix. Matrices of one shape go through the steps together.
 */
export class Muon extends Optimizer<MuonSettings> {
  readonly #own: MuonOptions;

  constructor(trained: Trained<MuonSettings>, options: Partial<All> = {}) {
    const {
      nsCoefficients = [3.4445, -4.775, 2.0315],
      nsSteps = 5,
      eps = 1e-7,
      adjustLrFn = 'original',
      ...settings
    } = muonOptions('Muon', options);
    if (nsCoefficients.length !== 3)
      throw new ValueError(`[Muon] nsCoefficients must be three numbers, a, b and c, got ${nsCoefficients.length}`);
    super(trained, { ...defaults, ...settings }, muonGroups);
    this.#own = { nsCoefficients, nsSteps, eps, adjustLrFn };
  }

  protected override check({ momentum, params }: MuonSettings & Trainees<readonly Parameter[]>): void {
    this.expect('momentum', momentum, momentum >= 0 && momentum < 1, 'at least 0 and below 1');
    const odd = params.find(({ rank }) => rank !== 2);
    if (odd)
      throw new ValueError(
        `[Muon] takes matrices, got a parameter ${formatShape(odd.shape)}; give those of other ranks to another optimizer, such as AdamW`,
      );
  }

  protected override stateNames(): string[] {
    return ['momentum_buffer'];
  }

  protected override hyper(settings: MuonSettings, lr: number, end: number): number[] {
    return muonHyper({ ...settings, lr }, end);
  }

  protected override update({ pack, gradients, hyper, turn, telling, states }: Update): Tensor | null {
    const mean = states.get('momentum_buffer') as State;
    const { next, ahead } = meansOf(pack, mean.value, gradients, hyper, turn);
    mean.assign(next);
    const { parameters, counts } = sgdUpdate({
      parameters: pack.state.value,
      gradients: packed(this.#directions(pack.unpack(ahead))),
      hyper,
      buffer: null,
      turn: unscaled(turn),
      telling,
    });
    pack.state.assign(parameters);
    return counts;
  }

  /** Matrices made orthogonal, those of one shape, lying or standing, together; times what their shape does to the rate. */
  #directions(matrices: readonly Tensor[]): Tensor[] {
    const lying = matrices.map((matrix) => (isStanding(matrix) ? transpose(matrix) : matrix));
    const found = new Map<Tensor, Tensor>();
    for (const alike of groupBy(lying, ({ shape }) => formatShape(shape)).values()) {
      const together = alike.length === 1 ? unsqueeze(nth(alike, 0), 0) : stack(alike);
      for (const [i, direction] of unbind(orthogonal(together, this.#own)).entries())
        found.set(nth(alike, i), direction);
    }
    return matrices.map((matrix, i) => {
      const direction = found.get(nth(lying, i)) as Tensor;
      return mul(isStanding(matrix) ? transpose(direction) : direction, ratioOf(matrix, this.#own));
    });
  }
}

const isStanding = ({ shape }: Tensor) => nth(shape, 0) > nth(shape, 1);

function ratioOf({ shape }: Tensor, { adjustLrFn }: MuonOptions): number {
  const [m, n] = [nth(shape, 0), nth(shape, 1)];
  return adjustLrFn === 'original' ? Math.sqrt(Math.max(1, m / n)) : 0.2 * Math.sqrt(Math.max(m, n));
}

/** X [k, m, n] with m ≤ n → its singular values near 1, its singular vectors as they are. */
function orthogonal(matrices: Tensor, { nsCoefficients, nsSteps, eps }: MuonOptions): Tensor {
  const [a = 0, b = 0, c = 0] = nsCoefficients;
  const norm = sqrt(sum(square(matrices), [1, 2], { keepDims: true }));
  let x = div(matrices, maximum(norm, eps));
  for (let step = 0; step < nsSteps; step++) {
    const gram = matmul(x, transpose(x, 1, 2)); // [k, m, m]
    const polynomial = add(mul(matmul(gram, gram), c), mul(gram, b));
    x = add(matmul(polynomial, x), mul(x, a));
  }
  return x;
}

/** The next running means of a pack [N], and what lies ahead of them, if nesterov is set; means of parameters that are left alone stay. */
function meansOf(pack: ParameterPack, mean: Tensor, gradients: Tensor, hyper: Tensor, turn: Turn) {
  const setting = (place: number) => spread(pack, hyper, place);
  const own = 'gate' in turn ? rowsOf(turn.gate, turn.table) : null;
  const scale = own ? own(gateScale) : (turn as { readonly scale: Tensor | null }).scale;
  const gradient = scale ? mul(gradients, scale) : gradients;
  const momentum = setting(momentumPlace);
  const moved = add(gradient, mul(momentum, sub(mean, gradient)));
  const next = own ? where(greater(own(gateRuns), 0), moved, mean) : moved;
  const ahead = add(gradient, mul(momentum, sub(moved, gradient)));
  return { next, ahead: where(greater(setting(nesterovPlace), 0), ahead, moved) };
}

/** Places in the settings of a group, see `muonHyper`, and how many there are. */
const [momentumPlace, nesterovPlace, settings] = [3, 4, 7];

/** A setting of each group for all elements of the group [N]; one number where there is one group. */
function spread({ groups }: ParameterPack, hyper: Tensor, place: number): Tensor {
  const of = (i: number) => slice(hyper, [[settings * i + place, settings * i + place + 1]]);
  if (groups.length === 1) return of(0);
  return concat(groups.map(({ end }, i) => expand(of(i), [end - (groups[i - 1]?.end ?? 0)])));
}

/** A place of the gate's rows [members, 4] for all elements of each member [N]. */
function rowsOf(gate: Tensor, table: Tensor): (place: number) => Tensor {
  const rows = embedding(table, gate);
  return (place) => {
    const blocks = slice(rows, [null, [place, place + 1]]);
    return reshape(expand(blocks, [table.size, packedBlock]), [-1]);
  };
}
