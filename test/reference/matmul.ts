import { broadcastShapes, sizeOf } from '../../src/core/shape.ts';
import { broadcastTo, extent, type Ref, type Rules, ref } from './ref.ts';

export const matmul = {
  /** a [..., M, K] · b [..., K, N] → [..., M, N]; the leading dimensions broadcast. */
  matmul: ([a, b]: readonly [Ref, Ref]): [Ref] => {
    const [M, K, N] = [extent(a, -2), extent(a, -1), extent(b, -1)];
    if (extent(b, -2) !== K) throw new RangeError(`[matmul] [${a.shape}] · [${b.shape}]`);
    const batch = broadcastShapes('matmul', [a.shape.slice(0, -2), b.shape.slice(0, -2)]);
    const left = broadcastTo(a, [...batch, M, K]).data;
    const right = broadcastTo(b, [...batch, K, N]).data;
    const y = ref([...batch, M, N]);
    for (let n = 0; n < sizeOf(batch); n++) {
      for (let row = 0; row < M; row++) {
        for (let column = 0; column < N; column++) {
          let total = 0;
          for (let k = 0; k < K; k++) {
            total += (left[(n * M + row) * K + k] as number) * (right[(n * K + k) * N + column] as number);
          }
          y.data[(n * M + row) * N + column] = total;
        }
      }
    }
    return [y];
  },
} satisfies Rules;
