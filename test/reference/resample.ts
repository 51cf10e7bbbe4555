import { type Ref, type Rules, ref } from './ref.ts';

/** A row of a matrix: its first column that is not 0, and the numbers from there on. */
export type Bands = readonly (readonly number[])[];

export const resample = {
  /** y = R·x·Cᵀ for each plane of x [planes, H, W]. */
  resample: ([x]: readonly [Ref, ...Ref[]], { rows, columns }: { rows: Bands; columns: Bands }): [Ref] => {
    const [planes, H, W] = x.shape as readonly [number, number, number];
    const y = ref([planes, rows.length, columns.length]);
    let index = 0;
    for (let plane = 0; plane < planes; plane++)
      for (const [top = 0, ...ofRows] of rows)
        for (const [left = 0, ...ofColumns] of columns) {
          let total = 0;
          for (const [i, r] of ofRows.entries())
            for (const [j, c] of ofColumns.entries())
              total += r * c * (x.data[(plane * H + top + i) * W + left + j] as number);
          y.data[index++] = total;
        }
    return [y];
  },
} satisfies Rules;
