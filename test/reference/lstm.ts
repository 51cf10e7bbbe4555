import { sigmoid } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { extent, map, type Ref, type Rules, ref } from './ref.ts';
import { view } from './view.ts';

interface LstmAttributes {
  /** Walks from the last step to the first; outputs keep their places in time. */
  readonly reverse?: boolean;
}

const add = (a: Ref, b: Ref) => map([a, b], (x, y) => x + y);
const product = (a: Ref, b: Ref) => matmul.matmul([a, b])[0];
const transpose = (x: Ref) => view.permute([x], { order: [1, 0] })[0];

/** The part of x [T, ...] that belongs to time t. */
function step(x: Ref, t: number): Ref {
  const size = x.data.length / extent(x, 0);
  return ref(x.shape.slice(1), x.data.slice(t * size, (t + 1) * size));
}

function setStep(x: Ref, t: number, value: Ref): void {
  x.data.set(value.data, t * value.data.length);
}

/** [B, 4H] → the four gates [B, H], in PyTorch's order i, f, g, o. */
function split(gates: Ref): [Ref, Ref, Ref, Ref] {
  const [B, H] = [extent(gates, 0), extent(gates, 1) / 4];
  const gate = (n: number) => view.slice([gates], { start: [0, n * H], stop: [B, (n + 1) * H], step: [1, 1] })[0];
  return [gate(0), gate(1), gate(2), gate(3)];
}

const join = (...gates: [Ref, Ref, Ref, Ref]) => view.concat(gates, { axis: 1 })[0];

/** The steps in the order of the recurrence. */
const order = (T: number, reverse: boolean) => Array.from({ length: T }, (_, n) => (reverse ? T - 1 - n : n));

export const lstm = {
  /** Pre-activations [B, 4H] and cell state [B, H] → hidden state, cell state, gates after their activations. */
  lstmCell: ([pre, cell]: readonly [Ref, Ref]): [Ref, Ref, Ref] => {
    const [preI, preF, preG, preO] = split(pre);
    const [i, f, o] = [map([preI], sigmoid), map([preF], sigmoid), map([preO], sigmoid)];
    const g = map([preG], Math.tanh);
    const after = map([f, cell, i, g], (f, c, i, g) => f * c + i * g);
    const hidden = map([o, after], (o, c) => o * Math.tanh(c));
    return [hidden, after, join(i, f, g, o)];
  },

  /** dHidden, dCell, activated gates, cell state before and after → gradients of the pre-activations and of the cell state. */
  lstmCellBackward: ([dHidden, dAfter, gates, cell, after]: readonly [Ref, Ref, Ref, Ref, Ref]): [Ref, Ref] => {
    const [i, f, g, o] = split(gates);
    const dc = map([dHidden, dAfter, o, after], (dh, dc, o, c) => dc + dh * o * (1 - Math.tanh(c) ** 2));
    const dPre = join(
      map([dc, g, i], (dc, g, i) => dc * g * i * (1 - i)),
      map([dc, cell, f], (dc, c, f) => dc * c * f * (1 - f)),
      map([dc, i, g], (dc, i, g) => dc * i * (1 - g * g)),
      map([dHidden, after, o], (dh, c, o) => dh * Math.tanh(c) * o * (1 - o)),
    );
    return [dPre, map([dc, f], (dc, f) => dc * f)];
  },

  /**
   * gatesX [T, B, 4H] (x W_ihᵀ with both biases), h0 [B, H], c0 [B, H], W_hh [4H, H] → output [T, B, H],
   * cells [T, B, H], gates [T, B, 4H] after their activations.
   */
  lstm: ([gatesX, h0, c0, W]: readonly [Ref, Ref, Ref, Ref], { reverse = false }: LstmAttributes): [Ref, Ref, Ref] => {
    const T = extent(gatesX, 0);
    const [output, cells, gates] = [ref([T, ...h0.shape]), ref([T, ...h0.shape]), ref(gatesX.shape)];
    let [hidden, cell] = [h0, c0];
    for (const t of order(T, reverse)) {
      const pre = add(step(gatesX, t), product(hidden, transpose(W)));
      const [nextHidden, nextCell, activated] = lstm.lstmCell([pre, cell]);
      setStep(output, t, nextHidden);
      setStep(cells, t, nextCell);
      setStep(gates, t, activated);
      [hidden, cell] = [nextHidden, nextCell];
    }
    return [output, cells, gates];
  },

  /**
   * Back propagation through time: dOutput [T, B, H], dStateN [2, B, H] (of the last hidden, then the last cell state),
   * gates [T, B, 4H], cells [T, B, H], c0 [B, H], W_hh [4H, H] → gradient of gatesX, dState0 [2, B, H].
   */
  lstmBackward: (
    [dOutput, dStateN, gates, cells, c0, W]: readonly [Ref, Ref, Ref, Ref, Ref, Ref],
    { reverse = false }: LstmAttributes,
  ): [Ref, Ref] => {
    const [dGatesX, dState0] = [ref(gates.shape), ref(dStateN.shape)];
    let [dHidden, dCell] = [step(dStateN, 0), step(dStateN, 1)];
    const steps = order(extent(gates, 0), reverse);
    for (const [n, t] of [...steps.entries()].reverse()) {
      const before = n === 0 ? c0 : step(cells, steps[n - 1] as number);
      const upstream = add(step(dOutput, t), dHidden);
      const [dPre, dBefore] = lstm.lstmCellBackward([upstream, dCell, step(gates, t), before, step(cells, t)]);
      setStep(dGatesX, t, dPre);
      [dHidden, dCell] = [product(dPre, W), dBefore];
    }
    setStep(dState0, 0, dHidden);
    setStep(dState0, 1, dCell);
    return [dGatesX, dState0];
  },
} satisfies Rules;
