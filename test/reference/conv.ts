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

type Meet = (x: number, weight: number, y: number) => void;

/**
 * Calls `meet` with the flat indices of x, weight and y wherever an input meets a weight and makes part of a result; x is -1 where the
 * window lies over padding.
 */
function meetings(sizes: ConvSizes, meet: Meet): void {
  const { B, groups, channels, filters, image, result, kernel } = sizes;
  for (let b = 0; b < B; b++)
    for (let o = 0; o < groups * filters; o++)
      for (let c = 0; c < channels; c++) {
        const channel = b * groups * channels + Math.floor(o / filters) * channels + c;
        for (const [place, tap] of windows(result, kernel)) {
          const pixel = [0, 1].map((axis) => pixelOf(sizes, axis, place[axis] as number, tap[axis] as number));
          const inside = pixel.every((at, axis) => at >= 0 && at < (image[axis] as number));
          const flat = (at: readonly number[], [, width = 1]: readonly number[]) =>
            (at[0] as number) * width + (at[1] as number);
          meet(
            inside ? channel * area(image) + flat(pixel, image) : -1,
            (o * channels + c) * area(kernel) + flat(tap, kernel),
            (b * groups * filters + o) * area(result) + flat(place, result),
          );
        }
      }
}

const area = ([height = 1, width = 1]: readonly number[]) => height * width;
const pixelOf = ({ stride, dilation, before }: ConvSizes, axis: number, place: number, tap: number) =>
  place * (stride[axis] as number) + tap * (dilation[axis] as number) - (before[axis] as number);

/** Calls `meet` with every pixel and every weight of its channel. */
function weights(
  { B, groups, channels, filters, image, kernel }: ConvSizes,
  meet: (x: number, weight: number) => void,
) {
  for (let channel = 0; channel < B * groups * channels; channel++) {
    const [group, c] = [Math.floor(channel / channels) % groups, channel % channels];
    for (let pixel = 0; pixel < area(image); pixel++)
      for (let f = 0; f < filters; f++)
        for (let tap = 0; tap < area(kernel); tap++)
          meet(channel * area(image) + pixel, ((group * filters + f) * channels + c) * area(kernel) + tap);
  }
}

/** All pairs of a place and a tap. */
function* windows(places: readonly number[], taps: readonly number[]) {
  const points = ([height = 1, width = 1]: readonly number[]) =>
    Array.from({ length: height * width }, (_, i) => [Math.floor(i / width), i % width] as const);
  for (const place of points(places)) for (const tap of points(taps)) yield [place, tap] as const;
}

/** Adds a · b to y at `index`: a product with the 0 of padding is NaN where the other factor is infinite or NaN. */
function addTo(y: Ref, index: number, a: number, b: number): void {
  y.data[index] = (y.data[index] as number) + a * b;
}
const at = (x: Ref, index: number) => (index < 0 ? 0 : (x.data[index] as number));

export const conv = {
  /** x [B, C, H, W], weight [filters, C / groups, KH, KW] → [B, filters, OH, OW], the sum over all that meet. */
  conv: ([x, weight]: readonly [Ref, Ref], sizes: ConvSizes): [Ref] => {
    const y = ref(shapesOf(sizes).y);
    meetings(sizes, (i, j, k) => addTo(y, k, at(x, i), at(weight, j)));
    return [y];
  },
  convInput: ([y, weight]: readonly [Ref, Ref], sizes: ConvSizes): [Ref] => {
    const x = ref(shapesOf(sizes).x);
    const met = new Set<string>();
    meetings(sizes, (i, j, k) => {
      if (i < 0) return;
      met.add(`${i} ${j}`);
      addTo(x, i, at(y, k), at(weight, j));
    });
    // Every weight of its channel is multiplied at every pixel: by 0 where no window has it there.
    weights(sizes, (i, j) => {
      if (!met.has(`${i} ${j}`)) addTo(x, i, 0, at(weight, j));
    });
    return [x];
  },
  convWeight: ([x, y]: readonly [Ref, Ref], sizes: ConvSizes): [Ref] => {
    const weight = ref(shapesOf(sizes).weight);
    meetings(sizes, (i, j, k) => addTo(weight, j, at(x, i), at(y, k)));
    return [weight];
  },
} satisfies Rules;
