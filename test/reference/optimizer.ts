import { map, type Ref, type Rules, ref, sum } from './ref.ts';

interface AdamAttributes {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** Counted from 1. */
  readonly step: number;
}

interface SgdAttributes {
  readonly lr: number;
  readonly momentum?: number;
  readonly dampening?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
  /** Counted from 1: the first gradient is the first momentum, whole. */
  readonly step: number;
}

interface RmspropAttributes {
  readonly lr: number;
  readonly alpha: number;
  readonly eps: number;
  readonly momentum?: number;
  readonly weightDecay?: number;
}

interface AdagradAttributes {
  readonly lr: number;
  readonly lrDecay: number;
  readonly eps: number;
  readonly initialAccumulatorValue: number;
  readonly weightDecay: number;
  /** Counted from 1. */
  readonly step: number;
}

interface LionAttributes {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly weightDecay: number;
}

/** Adam without weight decay (Kingma & Ba, 2015): the next parameter, mean and mean square. */
function adam(parameter: Ref, gradient: Ref, mean: Ref, square: Ref, attributes: AdamAttributes): [Ref, Ref, Ref] {
  const { lr, beta1, beta2, eps, step } = attributes;
  const nextMean = map([mean, gradient], (m, g) => beta1 * m + (1 - beta1) * g);
  const nextSquare = map([square, gradient], (v, g) => beta2 * v + (1 - beta2) * g * g);
  const next = map([parameter, nextMean, nextSquare], (p, m, v) => {
    const unbiasedMean = m / (1 - beta1 ** step);
    const unbiasedSquare = v / (1 - beta2 ** step);
    return p - (lr * unbiasedMean) / (Math.sqrt(unbiasedSquare) + eps);
  });
  return [next, nextMean, nextSquare];
}

export const optimizer = {
  /** parameter, gradient, mean, square → next parameter, mean, square; the decay is part of the gradient. */
  adam: ([parameter, gradient, mean, square]: readonly [Ref, Ref, Ref, Ref], attributes: AdamAttributes) => {
    const decayed = map([gradient, parameter], (g, p) => g + attributes.weightDecay * p);
    return adam(parameter, decayed, mean, square, attributes);
  },

  /** The same, with the decay apart from the gradient (Loshchilov & Hutter, 2019). */
  adamw: ([parameter, gradient, mean, square]: readonly [Ref, Ref, Ref, Ref], attributes: AdamAttributes) => {
    const decayed = map([parameter], (p) => p * (1 - attributes.lr * attributes.weightDecay));
    return adam(decayed, gradient, mean, square, attributes);
  },

  /** parameter, gradient, velocity? → next parameter, velocity, by PyTorch's formula. */
  sgd: ([parameter, gradient, velocity]: readonly [Ref, Ref, Ref?], attributes: SgdAttributes): [Ref, Ref] => {
    const { lr, momentum = 0, dampening = 0, nesterov = false, weightDecay = 0, step } = attributes;
    const decayed = map([gradient, parameter], (g, p) => g + weightDecay * p);
    const share = step === 1 ? 1 : 1 - dampening;
    const next = map([velocity ?? ref(parameter.shape), decayed], (v, g) => momentum * v + share * g);
    const direction = nesterov ? map([decayed, next], (g, v) => g + momentum * v) : momentum === 0 ? decayed : next;
    return [map([parameter, direction], (p, d) => p - lr * d), next];
  },

  /** parameter, gradient, mean square, velocity? → next ones, by PyTorch's formula. */
  rmsprop: ([parameter, gradient, square, velocity]: readonly [Ref, Ref, Ref, Ref?], attributes: RmspropAttributes) => {
    const { lr, alpha, eps, momentum = 0, weightDecay = 0 } = attributes;
    const decayed = map([gradient, parameter], (g, p) => g + weightDecay * p);
    const next = map([square, decayed], (s, g) => alpha * s + (1 - alpha) * g * g);
    const divided = map([decayed, next], (g, s) => g / (Math.sqrt(s) + eps));
    const moved = velocity ? map([velocity, divided], (v, d) => momentum * v + d) : divided;
    return [map([parameter, moved], (p, d) => p - lr * d), next, ...(velocity ? [moved] : [])];
  },

  /** parameter, gradient, mean square, mean, velocity? → next ones, by PyTorch's formula. */
  rmspropCentered: (
    [parameter, gradient, square, average, velocity]: readonly [Ref, Ref, Ref, Ref, Ref?],
    attributes: RmspropAttributes,
  ) => {
    const { lr, alpha, eps, momentum = 0, weightDecay = 0 } = attributes;
    const decayed = map([gradient, parameter], (g, p) => g + weightDecay * p);
    const next = map([square, decayed], (s, g) => alpha * s + (1 - alpha) * g * g);
    const mean = map([average, decayed], (m, g) => alpha * m + (1 - alpha) * g);
    const divided = map([decayed, next, mean], (g, s, m) => g / (Math.sqrt(Math.max(s - m * m, 0)) + eps));
    const moved = velocity ? map([velocity, divided], (v, d) => momentum * v + d) : divided;
    return [map([parameter, moved], (p, d) => p - lr * d), next, mean, ...(velocity ? [moved] : [])];
  },

  /** parameter, gradient, sum of squares → next ones, by PyTorch's formula. */
  adagrad: ([parameter, gradient, sum]: readonly [Ref, Ref, Ref], attributes: AdagradAttributes): [Ref, Ref] => {
    const { lr, lrDecay, eps, initialAccumulatorValue, weightDecay, step } = attributes;
    const decayed = map([gradient, parameter], (g, p) => g + weightDecay * p);
    const next = map([sum, decayed], (s, g) => (step === 1 ? initialAccumulatorValue : s) + g * g);
    const rate = lr / (1 + (step - 1) * lrDecay);
    return [map([parameter, decayed, next], (p, g, s) => p - (rate * g) / (Math.sqrt(s) + eps)), next];
  },

  /** parameter, gradient, mean → next ones: algorithm 2 of Chen et al., 2023. What is not finite has itself for its sign. */
  lion: ([parameter, gradient, mean]: readonly [Ref, Ref, Ref], attributes: LionAttributes): [Ref, Ref] => {
    const { lr, betas, weightDecay } = attributes;
    const [beta1, beta2] = betas;
    const next = map([parameter, gradient, mean], (p, g, m) => {
      const ahead = beta1 * m + (1 - beta1) * g;
      return p - lr * ((Number.isFinite(ahead) ? Math.sign(ahead) : ahead) + weightDecay * p);
    });
    return [next, map([gradient, mean], (g, m) => beta2 * m + (1 - beta2) * g)];
  },

  /** Gradients → the same scaled by min(1, maxNorm / (norm + 1e-6)), and the norm of all of them before. */
  clipGradNorm: (gradients: readonly Ref[], { maxNorm }: { maxNorm: number }): Ref[] => {
    const norm = Math.sqrt(sum(gradients.flatMap((gradient) => Array.from(gradient.data, (g) => g * g))));
    const scale = Math.min(1, maxNorm / (norm + 1e-6));
    return [...gradients.map((gradient) => map([gradient], (g) => g * scale)), ref([], [norm])];
  },
} satisfies Rules;
