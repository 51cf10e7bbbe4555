import { extent, get, leading, type Ref, type Rules, ref, sum } from './ref.ts';

interface NormAttributes {
  readonly eps: number;
}

const mean = (values: readonly number[]) => sum(values) / values.length;

/** The rows of x [..., E] as arrays. */
function rows(x: Ref): number[][] {
  const E = extent(x, -1);
  return Array.from({ length: leading(x) }, (_, row) => Array.from(x.data.slice(row * E, (row + 1) * E)));
}

/** mean and 1/σ of a row, where σ² = mean (x − mean)² + eps; `centred` false leaves the mean at 0. */
function statisticsOf(row: readonly number[], eps: number, centred: boolean): [number, number] {
  const centre = centred ? mean(row) : 0;
  return [centre, 1 / Math.sqrt(mean(row.map((value) => (value - centre) ** 2)) + eps)];
}

/** y = x̂ · weight + bias with x̂ = (x − mean) / σ, and the statistics [rows, 2]. */
function forward(x: Ref, weight: Ref | undefined, bias: Ref | undefined, eps: number, centred: boolean): [Ref, Ref] {
  const statistics = rows(x).map((row) => statisticsOf(row, eps, centred));
  const y = rows(x).flatMap((row, r) => {
    const [centre, rstd] = statistics[r] as [number, number];
    return row.map((value, e) => (value - centre) * rstd * (weight ? get(weight, e) : 1) + (bias ? get(bias, e) : 0));
  });
  return [ref(x.shape, y), ref([statistics.length, 2], statistics.flat())];
}

/** x, statistics, weight where there is one, dy. */
type BackwardInputs = readonly [Ref, Ref, Ref] | readonly [Ref, Ref, Ref, Ref];

/**
 * Gradients of x, weight and bias. With g = dy · weight, dx = (g − mean(g) − x̂ mean(g x̂)) / σ, where the first mean falls
 * away if the rows were not centred.
 */
function backward(inputs: BackwardInputs, centred: boolean): [Ref, Ref, Ref] {
  const [x, statistics] = inputs;
  const weight = inputs.length === 4 ? inputs[2] : undefined;
  const dy = rows(inputs.at(-1) as Ref);
  const E = extent(x, -1);
  const [dx, dweight, dbias] = [ref(x.shape), ref([E]), ref([E])];
  for (const [r, row] of rows(x).entries()) {
    const [centre, rstd] = [get(statistics, 2 * r), get(statistics, 2 * r + 1)];
    const hat = row.map((value) => (value - centre) * rstd);
    const d = dy[r] as number[];
    const g = d.map((value, e) => value * (weight ? get(weight, e) : 1));
    const shift = centred ? mean(g) : 0;
    const slope = mean(g.map((value, e) => value * (hat[e] as number)));
    for (const [e, value] of hat.entries()) {
      dx.data[r * E + e] = rstd * ((g[e] as number) - shift - value * slope);
      dweight.data[e] = get(dweight, e) + (d[e] as number) * value;
      dbias.data[e] = get(dbias, e) + (d[e] as number);
    }
  }
  return [dx, dweight, dbias];
}

export const norm = {
  /** x [..., E], weight? [E], bias? [E] → y, statistics [rows, 2] of (mean, 1/σ). */
  layerNorm: ([x, weight, bias]: readonly [Ref, Ref?, Ref?], { eps }: NormAttributes): [Ref, Ref] =>
    forward(x, weight, bias, eps, true),

  /** x, statistics, weight?, dy → dx, dweight, dbias. */
  layerNormBackward: (inputs: BackwardInputs): [Ref, Ref, Ref] => backward(inputs, true),

  /** x [..., E], weight? [E] → x / √(mean x² + eps) · weight, statistics [rows, 2] of (0, 1/σ). */
  rmsNorm: ([x, weight]: readonly [Ref, Ref?], { eps }: NormAttributes): [Ref, Ref] =>
    forward(x, weight, undefined, eps, false),

  /** x, statistics, weight?, dy → dx, dweight. */
  rmsNormBackward: (inputs: BackwardInputs): [Ref, Ref] => {
    const [dx, dweight] = backward(inputs, false);
    return [dx, dweight];
  },
} satisfies Rules;
