import { type Ref, type Rules, ref } from './ref.ts';

/** Sizes, and how windows lie: those of the ops. */
export interface ConvSizes {
  readonly B: number;
  readonly groups: number;
  readonly channels: number;
  readonly filters: number;
  readonly image: readonly number[];
  readonly result: readonly number[];
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly before: readonly number[];
}

export const shapesOf = ({ B, groups, channels, filters, image, result, kernel }: ConvSizes) => ({
  x: [B, groups * channels, ...image],
  weight: [groups * filters, channels, ...kernel],
  y: [B, groups * filters, ...result],
});

/** Calls `meet` with the flat indices of x, weight and y wherever an input meets a weight and makes part of a result. */
function meetings(sizes: ConvSizes, meet: (x: number, weight: number, y: number) => void): void {
  const { B, groups, channels, filters, stride, dilation, before } = sizes;
  const [H, W, OH, OW, KH, KW] = [...sizes.image, ...sizes.result, ...sizes.kernel] as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const pixel = (axis: number, place: number, tap: number) =>
    place * (stride[axis] as number) + tap * (dilation[axis] as number) - (before[axis] as number);
  for (let b = 0; b < B; b++)
    for (let o = 0; o < groups * filters; o++)
      for (let c = 0; c < channels; c++) {
        const channel = b * groups * channels + Math.floor(o / filters) * channels + c;
        for (let i = 0; i < OH; i++)
          for (let p = 0; p < KH; p++) {
            const row = pixel(0, i, p);
            if (row < 0 || row >= H) continue;
            for (let j = 0; j < OW; j++)
              for (let q = 0; q < KW; q++) {
                const column = pixel(1, j, q);
                if (column < 0 || column >= W) continue;
                meet(
                  (channel * H + row) * W + column,
                  ((o * channels + c) * KH + p) * KW + q,
                  ((b * groups * filters + o) * OH + i) * OW + j,
                );
              }
          }
      }
}

export const conv = {
  /** x [B, C, H, W], weight [filters, C / groups, KH, KW] → [B, filters, OH, OW], the sum over all that meet. */
  conv: ([x, weight]: readonly [Ref, Ref], sizes: ConvSizes): [Ref] => {
    const y = ref(shapesOf(sizes).y);
    meetings(sizes, (i, j, k) => {
      y.data[k] = (y.data[k] as number) + (x.data[i] as number) * (weight.data[j] as number);
    });
    return [y];
  },
  convInput: ([y, weight]: readonly [Ref, Ref], sizes: ConvSizes): [Ref] => {
    const x = ref(shapesOf(sizes).x);
    meetings(sizes, (i, j, k) => {
      x.data[i] = (x.data[i] as number) + (y.data[k] as number) * (weight.data[j] as number);
    });
    return [x];
  },
  convWeight: ([x, y]: readonly [Ref, Ref], sizes: ConvSizes): [Ref] => {
    const weight = ref(shapesOf(sizes).weight);
    meetings(sizes, (i, j, k) => {
      weight.data[j] = (weight.data[j] as number) + (x.data[i] as number) * (y.data[k] as number);
    });
    return [weight];
  },
} satisfies Rules;
