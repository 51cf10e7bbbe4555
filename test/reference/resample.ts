import { type Ref, type Rules, ref } from './ref.ts';

/** A row of a matrix: its first column that is not 0, and the numbers from there on. */
export type Bands = readonly (readonly number[])[];

/** The matrix, its zeros among them. */
const matrix = (bands: Bands, columns: number) =>
  bands.map(([start = 0, ...numbers]) => Array.from({ length: columns }, (_, i) => numbers[i - start] ?? 0));

export const resample = {
  /** y = R·x·Cᵀ for each plane of x [planes, H, W]. */
  resample: ([x]: readonly [Ref, ...Ref[]], { rows, columns }: { rows: Bands; columns: Bands }): [Ref] => {
    const [planes, H, W] = x.shape as readonly [number, number, number];
    const [R, C] = [matrix(rows, H), matrix(columns, W)];
    const y = ref([planes, rows.length, columns.length]);
    let index = 0;
    for (let plane = 0; plane < planes; plane++)
      for (const ofRows of R)
        for (const ofColumns of C) {
          let total = 0;
          for (const [i, r] of ofRows.entries())
            for (const [j, c] of ofColumns.entries()) total += r * c * (x.data[(plane * H + i) * W + j] as number);
          y.data[index++] = total;
        }
    return [y];
  },
} satisfies Rules;
