/**
 * Reverse-mode differentiation in float64, just enough for the training steps' reference: matrices, and the few ops of a
 * GPT and of recurrences on them. Each op says in place how its gradient flows back.
 */

/** A matrix, its gradient, and what passes the gradient on to where it came from. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
  readonly gradient: Float64Array;
}

export class Tape {
  readonly #back: (() => void)[] = [];

  leaf(rows: number, columns: number, values?: ArrayLike<number>): Matrix {
    const data = values ? Float64Array.from(values) : new Float64Array(rows * columns);
    return { rows, columns, data, gradient: new Float64Array(rows * columns) };
  }

  /** Runs everything backward from the elements of `outputs`, whose gradients `seed` has one after another; by default 1. */
  backward(outputs: readonly Matrix[], seed: ArrayLike<number> = [1]): void {
    let at = 0;
    for (const { gradient } of outputs) for (const i of gradient.keys()) gradient[i] = seed[at++] as number;
    for (const step of this.#back.toReversed()) step();
  }

  #make(rows: number, columns: number, fill: (y: Float64Array) => void, back: (y: Matrix) => void): Matrix {
    const y = this.leaf(rows, columns);
    fill(y.data);
    this.#back.push(() => back(y));
    return y;
  }

  /** x [rows, K] · wᵀ, w [columns, K]. */
  linear(x: Matrix, w: Matrix): Matrix {
    const [R, C, K] = [x.rows, w.rows, x.columns];
    return this.#make(
      R,
      C,
      (y) => {
        for (let r = 0; r < R; r++) {
          for (let c = 0; c < C; c++) y[r * C + c] = dot(x.data, r * K, w.data, c * K, K);
        }
      },
      ({ gradient }) => {
        for (let r = 0; r < R; r++) {
          for (let c = 0; c < C; c++) {
            const d = gradient[r * C + c] as number;
            if (d === 0) continue;
            axpy(x.gradient, r * K, d, w.data, c * K, K);
            axpy(w.gradient, c * K, d, x.data, r * K, K);
          }
        }
      },
    );
  }

  /** x + y, where y is as large as x or one row for all of them. */
  add(x: Matrix, y: Matrix): Matrix {
    const n = y.data.length;
    return this.#make(
      x.rows,
      x.columns,
      (sum) => sum.set(x.data.map((value, i) => value + (y.data[i % n] as number))),
      ({ gradient }) => {
        for (const [i, d] of gradient.entries()) {
          x.gradient[i] = (x.gradient[i] as number) + d;
          y.gradient[i % n] = (y.gradient[i % n] as number) + d;
        }
      },
    );
  }

  mul(x: Matrix, y: Matrix): Matrix {
    return this.#make(
      x.rows,
      x.columns,
      (product) => product.set(x.data.map((value, i) => value * (y.data[i] as number))),
      ({ gradient }) => {
        for (const [i, d] of gradient.entries()) {
          x.gradient[i] = (x.gradient[i] as number) + d * (y.data[i] as number);
          y.gradient[i] = (y.gradient[i] as number) + d * (x.data[i] as number);
        }
      },
    );
  }

  /** Element by element; `slope` is given the argument and the value. */
  map(x: Matrix, value: (x: number) => number, slope: (x: number, y: number) => number): Matrix {
    return this.#make(
      x.rows,
      x.columns,
      (y) => y.set(x.data.map(value)),
      ({ gradient, data }) => {
        for (const [i, d] of gradient.entries()) {
          x.gradient[i] = (x.gradient[i] as number) + d * slope(x.data[i] as number, data[i] as number);
        }
      },
    );
  }

  scale(x: Matrix, factor: number): Matrix {
    return this.map(
      x,
      (value) => factor * value,
      () => factor,
    );
  }

  sigmoid(x: Matrix): Matrix {
    return this.map(
      x,
      (value) => 1 / (1 + Math.exp(-value)),
      (_, y) => y * (1 - y),
    );
  }

  tanh(x: Matrix): Matrix {
    return this.map(x, Math.tanh, (_, y) => 1 - y * y);
  }

  /** GELU in its tanh form. */
  gelu(x: Matrix): Matrix {
    const [scale, cubic] = [Math.sqrt(2 / Math.PI), 0.044715];
    const inner = (value: number) => Math.tanh(scale * (value + cubic * value ** 3));
    return this.map(
      x,
      (value) => 0.5 * value * (1 + inner(value)),
      (value) => {
        const t = inner(value);
        return 0.5 * (1 + t) + 0.5 * value * (1 - t * t) * scale * (1 + 3 * cubic * value * value);
      },
    );
  }

  /** Columns from `first` on. */
  part(x: Matrix, first: number, columns: number): Matrix {
    const from = (i: number) => Math.floor(i / columns) * x.columns + first + (i % columns);
    return this.#make(
      x.rows,
      columns,
      (y) => y.set(y.map((_, i) => x.data[from(i)] as number)),
      ({ gradient }) => {
        for (const [i, d] of gradient.entries()) x.gradient[from(i)] = (x.gradient[from(i)] as number) + d;
      },
    );
  }

  /** Row ids[i] of the table becomes row i. */
  rows(table: Matrix, ids: ArrayLike<number>): Matrix {
    const E = table.columns;
    return this.#make(
      ids.length,
      E,
      (y) => {
        for (let i = 0; i < ids.length; i++) axpy(y, i * E, 1, table.data, (ids[i] as number) * E, E);
      },
      ({ gradient }) => {
        for (let i = 0; i < ids.length; i++) axpy(table.gradient, (ids[i] as number) * E, 1, gradient, i * E, E);
      },
    );
  }

  layerNorm(x: Matrix, weight: Matrix, bias: Matrix, eps = 1e-5): Matrix {
    const E = x.columns;
    const normal = new Float64Array(x.data.length);
    const scales = new Float64Array(x.rows);
    return this.#make(
      x.rows,
      E,
      (y) => {
        for (let r = 0; r < x.rows; r++) {
          const row = x.data.subarray(r * E, (r + 1) * E);
          const mean = row.reduce((a, b) => a + b, 0) / E;
          const scale = 1 / Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / E + eps);
          scales[r] = scale;
          for (let e = 0; e < E; e++) {
            const n = ((row[e] as number) - mean) * scale;
            normal[r * E + e] = n;
            y[r * E + e] = n * (weight.data[e] as number) + (bias.data[e] as number);
          }
        }
      },
      ({ gradient }) => {
        for (let r = 0; r < x.rows; r++) {
          let [mean, product] = [0, 0];
          for (let e = 0; e < E; e++) {
            const [d, n] = [gradient[r * E + e] as number, normal[r * E + e] as number];
            weight.gradient[e] = (weight.gradient[e] as number) + d * n;
            bias.gradient[e] = (bias.gradient[e] as number) + d;
            mean += (d * (weight.data[e] as number)) / E;
            product += (d * (weight.data[e] as number) * n) / E;
          }
          for (let e = 0; e < E; e++) {
            const i = r * E + e;
            const d = (gradient[i] as number) * (weight.data[e] as number) - mean - (normal[i] as number) * product;
            x.gradient[i] = (x.gradient[i] as number) + d * (scales[r] as number);
          }
        }
      },
    );
  }

  /** Causal self-attention: rows are B sequences of T positions, columns q, k and v of all heads side by side. */
  attention(qkv: Matrix, heads: number, T: number): Matrix {
    const E = qkv.columns / 3;
    const D = E / heads;
    const scale = 1 / Math.sqrt(D);
    const sequences = qkv.rows / T;
    /** Weights of all queries over the keys up to their own. */
    const weights = new Float64Array(sequences * heads * T * T);
    const each = (visit: (q: number, k: number, p: number) => void) => {
      // Where the row of a query begins, that of a key (its value is E further on), and their weight's place.
      for (let b = 0; b < sequences; b++) {
        for (let h = 0; h < heads; h++) {
          for (let t = 0; t < T; t++) {
            for (let s = 0; s <= t; s++) {
              const at = (row: number) => (b * T + row) * 3 * E + h * D;
              visit(at(t), at(s) + E, ((b * heads + h) * T + t) * T + s);
            }
          }
        }
      }
    };
    const output = (query: number) => Math.floor(query / (3 * E)) * E + (query % (3 * E));
    return this.#make(
      qkv.rows,
      E,
      (y) => {
        each((q, k, p) => {
          weights[p] = scale * dot(qkv.data, q, qkv.data, k, D);
        });
        for (let row = 0; row < sequences * heads * T; row++) {
          const scores = weights.subarray(row * T, row * T + (row % T) + 1);
          const largest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
          const sum = scores.reduce((a, b) => a + Math.exp(b - largest), 0);
          for (const [s, score] of scores.entries()) scores[s] = Math.exp(score - largest) / sum;
        }
        each((q, k, p) => axpy(y, output(q), weights[p] as number, qkv.data, k + E, D));
      },
      ({ gradient, data }) => {
        each((q, k, p) => {
          const weight = weights[p] as number;
          const to = output(q);
          const delta = dot(gradient, to, data, to, D);
          const dScore = scale * weight * (dot(gradient, to, qkv.data, k + E, D) - delta);
          axpy(qkv.gradient, k + E, weight, gradient, to, D);
          axpy(qkv.gradient, q, dScore, qkv.data, k, D);
          axpy(qkv.gradient, k, dScore, qkv.data, q, D);
        });
      },
    );
  }

  /** Mean cross-entropy of rows of logits. */
  crossEntropy(logits: Matrix, targets: ArrayLike<number>): Matrix {
    const [R, V] = [logits.rows, logits.columns];
    const probabilities = new Float64Array(R * V);
    return this.#make(
      1,
      1,
      (y) => {
        for (let r = 0; r < R; r++) {
          const row = logits.data.subarray(r * V, (r + 1) * V);
          const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
          const logSum = largest + Math.log(row.reduce((a, b) => a + Math.exp(b - largest), 0));
          for (const [v, logit] of row.entries()) probabilities[r * V + v] = Math.exp(logit - logSum);
          y[0] = (y[0] as number) + (logSum - (row[targets[r] as number] as number)) / R;
        }
      },
      ({ gradient }) => {
        for (const [i, p] of probabilities.entries()) {
          const wanted = i % V === targets[Math.floor(i / V)] ? 1 : 0;
          logits.gradient[i] = (logits.gradient[i] as number) + ((gradient[0] as number) * (p - wanted)) / R;
        }
      },
    );
  }

  meanSquaredError(x: Matrix, y: ArrayLike<number>): Matrix {
    const n = x.data.length;
    return this.#make(
      1,
      1,
      (loss) => {
        loss[0] = x.data.reduce((sum, value, i) => sum + (value - (y[i] as number)) ** 2, 0) / n;
      },
      ({ gradient }) => {
        for (const [i, value] of x.data.entries()) {
          x.gradient[i] = (x.gradient[i] as number) + ((gradient[0] as number) * 2 * (value - (y[i] as number))) / n;
        }
      },
    );
  }
}

function dot(a: Float64Array, i: number, b: Float64Array, j: number, n: number): number {
  let sum = 0;
  for (let k = 0; k < n; k++) sum += (a[i + k] as number) * (b[j + k] as number);
  return sum;
}

/** Adds factor · b[j …] to a[i …]. */
function axpy(a: Float64Array, i: number, factor: number, b: Float64Array, j: number, n: number): void {
  for (let k = 0; k < n; k++) a[i + k] = (a[i + k] as number) + factor * (b[j + k] as number);
}
