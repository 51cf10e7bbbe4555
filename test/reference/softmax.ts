import { map, mapLines, maximum, type Ref, type Rules, sum } from './ref.ts';

interface SoftmaxAttributes {
  readonly axis: number;
  readonly log?: boolean;
}

export const softmax = {
  softmax: ([x]: readonly [Ref], { axis, log = false }: SoftmaxAttributes): [Ref] => [
    mapLines(x, axis, (line) => {
      const most = maximum(line);
      const total = sum(line.map((value) => Math.exp(value - most)));
      return line.map((value) => (log ? value - most - Math.log(total) : Math.exp(value - most) / total));
    }),
  ],

  /** The result y, dy → dx = y (dy − Σ y dy), and for the logarithm dy − exp(y) Σ dy. */
  softmaxBackward: ([y, dy]: readonly [Ref, Ref], { axis, log = false }: SoftmaxAttributes): [Ref] => {
    const weighted = log ? dy : map([dy, y], (d, p) => d * p);
    const total = mapLines(weighted, axis, (line) => {
      const whole = sum(line);
      return line.map(() => whole);
    });
    return [map([dy, y, total], (d, p, s) => (log ? d - Math.exp(p) * s : p * (d - s)))];
  },
} satisfies Rules;
