import { type Ref, type Rules, ref } from './ref.ts';

/** Windows along an axis: the first input of each, and how many it has. */
type Spans = readonly (readonly [start: number, count: number])[];

const inputsOf = ([start, count]: readonly [number, number], step: number) =>
  Array.from({ length: count }, (_, i) => start + i * step);

export const pool = {
  /** The greatest of each window of x [planes, H, W], the first of equals, and its position in the plane. */
  maxPool: (
    [x]: readonly [Ref, ...Ref[]],
    { rows, columns, dilation }: { rows: Spans; columns: Spans; dilation: readonly [number, number] },
  ): [Ref, Ref] => {
    const [planes, H, W] = x.shape as readonly [number, number, number];
    const shape = [planes, rows.length, columns.length];
    const [values, positions] = [ref(shape), ref(shape)];
    let index = 0;
    for (let plane = 0; plane < planes; plane++)
      for (const row of rows)
        for (const column of columns) {
          const window = inputsOf(row, dilation[0]).flatMap((i) => inputsOf(column, dilation[1]).map((j) => i * W + j));
          const at = (position: number) => x.data[plane * H * W + position] as number;
          const best = window.reduce((a, b) =>
            at(b) > at(a) || (Number.isNaN(at(b)) && !Number.isNaN(at(a))) ? b : a,
          );
          values.data[index] = at(best);
          positions.data[index++] = best;
        }
    return [values, positions];
  },
  /** Each of dy [planes, OH, OW] goes to its position in a plane of `image`. */
  maxPoolBackward: (
    [dy, positions]: readonly [Ref, Ref, ...Ref[]],
    { image }: { image: readonly [number, number, number] },
  ): [Ref] => {
    const dx = ref(image);
    const windows = dy.data.length / image[0];
    for (const [i, gradient] of dy.data.entries()) {
      const at = Math.floor(i / windows) * image[1] * image[2] + (positions.data[i] as number);
      dx.data[at] = (dx.data[at] as number) + gradient;
    }
    return [dx];
  },
} satisfies Rules;
