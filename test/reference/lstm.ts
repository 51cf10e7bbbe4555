import { sigmoid } from './elementwise.ts';
import { add, at, keep, order, product, type RecurrenceAttributes, setStep, step, transpose } from './recurrent.ts';
import { extent, map, type Ref, type Rules, ref } from './ref.ts';
import { view } from './view.ts';

/** [B, 4H] → the four gates [B, H], in PyTorch's order i, f, g, o. */
function split(gates: Ref): [Ref, Ref, Ref, Ref] {
  const [B, H] = [extent(gates, 0), extent(gates, 1) / 4];
  const gate = (n: number) => view.slice([gates], { start: [0, n * H], stop: [B, (n + 1) * H], step: [1, 1] })[0];
  return [gate(0), gate(1), gate(2), gate(3)];
}

const join = (...gates: [Ref, Ref, Ref, Ref]) => view.concat(gates, { axis: 1 })[0];

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
   * gatesX [T, B, 4H] (x W_ihᵀ with both biases), h0 [B, H], W_hh [4H, H], c0 [B, H], perhaps lengths [B] → the states h and c of
   * every step [T, B, H], gates [T, B, 4H] after their activations, -1 beyond a row's length.
   */
  lstm: (
    [gatesX, h0, W, c0, lengths]: readonly [Ref, Ref, Ref, Ref, Ref?],
    { reverse = false }: RecurrenceAttributes,
  ): [Ref, Ref, Ref] => {
    const T = extent(gatesX, 0);
    const [output, cells, gates] = [ref([T, ...h0.shape]), ref([T, ...h0.shape]), ref(gatesX.shape)];
    let [hidden, cell] = [h0, c0];
    for (const t of order(T, reverse)) {
      const pre = add(step(gatesX, t), product(hidden, transpose(W)));
      const [nextHidden, nextCell, activated] = lstm.lstmCell([pre, cell]);
      hidden = keep(nextHidden, hidden, t, lengths);
      cell = keep(nextCell, cell, t, lengths);
      setStep(output, t, hidden);
      setStep(cells, t, cell);
      setStep(
        gates,
        t,
        keep(
          activated,
          map([activated], () => -1),
          t,
          lengths,
        ),
      );
    }
    return [output, cells, gates];
  },

  /**
   * Back propagation through time: dHidden [T, B, H], W_hh [4H, H], gates [T, B, 4H], cells [T, B, H], c0 [B, H], perhaps the
   * gradient of the last c [B, H] → gradient of gatesX, dState0 [2, B, H].
   */
  lstmBackward: (
    [dOutput, W, gates, cells, c0, dC]: readonly [Ref, Ref, Ref, Ref, Ref, Ref?],
    { reverse = false }: RecurrenceAttributes,
  ): [Ref, Ref] => {
    const [B, H] = [extent(c0, 0), extent(c0, 1)];
    const [dGatesX, dState0] = [ref(gates.shape), ref([2, B, H])];
    let [dHidden, dCell] = [ref([B, H]), dC ?? ref([B, H])];
    const steps = order(extent(gates, 0), reverse);
    for (const [n, t] of [...steps.entries()].reverse()) {
      const before = n === 0 ? c0 : step(cells, steps[n - 1] as number);
      const upstream = add(step(dOutput, t), dHidden);
      const left = step(gates, t);
      // No gate but that of a step that is not the row's own is negative at i.
      const rests = ref(
        [B],
        Array.from({ length: B }, (_, b) => (at(left, b * 4 * H) < 0 ? 0 : Infinity)),
      );
      const [dPre, dBefore] = lstm.lstmCellBackward([upstream, dCell, left, before, step(cells, t)]);
      const own = keep(dPre, ref(dPre.shape), 0, rests);
      setStep(dGatesX, t, own);
      // Where a step is not the row's own, the gradient goes past gates whose own is 0: an infinite weight makes it NaN.
      dHidden = add(product(own, W), keep(ref(c0.shape), upstream, 0, rests));
      dCell = keep(dBefore, dCell, 0, rests);
    }
    setStep(dState0, 0, dHidden);
    setStep(dState0, 1, dCell);
    return [dGatesX, dState0];
  },
} satisfies Rules;
