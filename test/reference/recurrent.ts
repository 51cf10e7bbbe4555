import { sigmoid } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { extent, map, type Ref, type Rules, ref } from './ref.ts';
import { view } from './view.ts';

export interface RecurrenceAttributes {
  /** Walks from the last step to the first; outputs keep their places in time. */
  readonly reverse?: boolean;
}

export const add = (a: Ref, b: Ref) => map([a, b], (x, y) => x + y);
export const product = (a: Ref, b: Ref) => matmul.matmul([a, b])[0];
export const transpose = (x: Ref) => view.permute([x], { order: [1, 0] })[0];

/** The part of x [T, ...] that belongs to time t. */
export function step(x: Ref, t: number): Ref {
  const size = x.data.length / extent(x, 0);
  return ref(x.shape.slice(1), x.data.slice(t * size, (t + 1) * size));
}

export function setStep(x: Ref, t: number, value: Ref): void {
  x.data.set(value.data, t * value.data.length);
}

/** The steps in the order of the recurrence. */
export const order = (T: number, reverse: boolean) => Array.from({ length: T }, (_, n) => (reverse ? T - 1 - n : n));

export const at = (x: Ref, i: number): number => x.data[i] as number;

/** The rows [B, ...] of `next` whose steps at t are within their lengths, and else those of `before`. */
export function keep(next: Ref, before: Ref, t: number, lengths: Ref | undefined): Ref {
  if (!lengths) return next;
  const width = next.data.length / extent(next, 0);
  return ref(
    next.shape,
    next.data.map((value, i) => (t < at(lengths, Math.floor(i / width)) ? value : at(before, i))),
  );
}

/** Columns [n·H, (n+1)·H) of x [B, ...]. */
const part = (x: Ref, n: number, H: number) =>
  view.slice([x], { start: [0, n * H], stop: [extent(x, 0), (n + 1) * H], step: [1, 1] })[0];
const beside = (...parts: Ref[]) => view.concat(parts, { axis: 1 })[0];
const like = (x: Ref, value: number) => map([x], () => value);

interface RnnAttributes extends RecurrenceAttributes {
  readonly nonlinearity?: 'tanh' | 'relu';
}

export const recurrent = {
  /**
   * gatesX [T, B, 3H] (x W_ihᵀ + b_ih), h0 [B, H], W_hh [3H, H], perhaps b_hh [3H], perhaps lengths [B] → the states of every step
   * [T, B, H]; r, z, n and the state's share of n [T, B, 4H], of which z is 1 and the others 0 beyond a row's length.
   */
  gru: (
    [gatesX, h0, W, ...rest]: readonly [Ref, Ref, Ref, ...Ref[]],
    { reverse = false, bias = false, lengths = false }: RecurrenceAttributes & { bias?: boolean; lengths?: boolean },
  ): [Ref, Ref] => {
    const [T, H] = [extent(gatesX, 0), extent(h0, 1)];
    const own = bias ? (rest[0] as Ref) : ref([3 * H]);
    const until = lengths ? rest.at(-1) : undefined;
    const [output, gates] = [ref([T, ...h0.shape]), ref([T, extent(h0, 0), 4 * H])];
    let hidden = h0;
    for (const t of order(T, reverse)) {
      const ofInput = step(gatesX, t);
      const ofState = map([product(hidden, transpose(W)), own], (x, b) => x + b);
      const sigmoids = [0, 1].map((n) => map([add(part(ofInput, n, H), part(ofState, n, H))], sigmoid)) as [Ref, Ref];
      const [r, z] = sigmoids;
      const share = part(ofState, 2, H);
      const n = map([part(ofInput, 2, H), r, share], (x, r, h) => Math.tanh(x + r * h));
      const next = map([n, z, hidden], (n, z, h) => (1 - z) * n + z * h);
      hidden = keep(next, hidden, t, until);
      setStep(output, t, hidden);
      const rested = beside(like(r, 0), like(r, 1), like(r, 0), like(r, 0));
      setStep(gates, t, keep(beside(r, z, n, share), rested, t, until));
    }
    return [output, gates];
  },

  /**
   * dHidden [T, B, H], W_hh [3H, H], gates [T, B, 4H], states [T, B, H], h0 [B, H] → gradients of the shares of the state and of the
   * input [2, T, B, 3H], and of h0.
   */
  gruBackward: (
    [dOutput, W, gates, states, h0]: readonly [Ref, Ref, Ref, Ref, Ref],
    { reverse = false }: RecurrenceAttributes,
  ): [Ref, Ref] => {
    const [T, B, H] = [extent(states, 0), extent(h0, 0), extent(h0, 1)];
    const shares = ref([2 * T, B, 3 * H]);
    let dHidden = ref([B, H]);
    const steps = order(T, reverse);
    for (const [index, t] of [...steps.entries()].reverse()) {
      const before = index === 0 ? h0 : step(states, steps[index - 1] as number);
      const d = add(step(dOutput, t), dHidden);
      const left = step(gates, t);
      const [r, z, n, share] = [0, 1, 2, 3].map((i) => part(left, i, H)) as [Ref, Ref, Ref, Ref];
      const dN = map([d, z, n], (d, z, n) => d * (1 - z) * (1 - n * n));
      const dR = map([dN, share, r], (dN, h, r) => dN * h * r * (1 - r));
      const dZ = map([d, before, n, z], (d, h, n, z) => d * (h - n) * z * (1 - z));
      const ofState = beside(
        dR,
        dZ,
        map([dN, r], (dN, r) => dN * r),
      );
      setStep(shares, t, ofState);
      setStep(shares, T + t, beside(dR, dZ, dN));
      dHidden = add(
        map([d, z], (d, z) => d * z),
        product(ofState, W),
      );
    }
    return [ref([2, T, B, 3 * H], shares.data), dHidden];
  },

  /** gatesX [T, B, H] (x W_ihᵀ with both biases), h0 [B, H], W_hh [H, H], perhaps lengths [B] → the states of every step. */
  rnn: (
    [gatesX, h0, W, lengths]: readonly [Ref, Ref, Ref, Ref?],
    { reverse = false, nonlinearity = 'tanh' }: RnnAttributes,
  ): [Ref] => {
    const output = ref(gatesX.shape);
    let hidden = h0;
    const act = nonlinearity === 'tanh' ? Math.tanh : (x: number) => (x <= 0 ? 0 : x);
    for (const t of order(extent(gatesX, 0), reverse)) {
      const next = map([add(step(gatesX, t), product(hidden, transpose(W)))], act);
      hidden = keep(next, hidden, t, lengths);
      setStep(output, t, hidden);
    }
    return [output];
  },

  /** dHidden [T, B, H], W_hh [H, H], states [T, B, H], perhaps lengths [B] → gradients of gatesX and of h0. */
  rnnBackward: (
    [dOutput, W, states, lengths]: readonly [Ref, Ref, Ref, Ref?],
    { reverse = false, nonlinearity = 'tanh' }: RnnAttributes,
  ): [Ref, Ref] => {
    const dGates = ref(states.shape);
    const slope = (h: number) => (nonlinearity === 'tanh' ? 1 - h * h : h <= 0 ? 0 : 1);
    let dHidden = ref(states.shape.slice(1));
    for (const t of order(extent(states, 0), reverse).reverse()) {
      const d = add(step(dOutput, t), dHidden);
      const all = map([d, step(states, t)], (d, h) => d * slope(h));
      const own = keep(all, like(all, 0), t, lengths);
      setStep(dGates, t, own);
      // The gates of a step that is not the row's own have the gradient 0: an infinite weight makes it NaN.
      dHidden = lengths ? add(product(own, W), keep(like(d, 0), d, t, lengths)) : product(own, W);
    }
    return [dGates, dHidden];
  },
} satisfies Rules;
