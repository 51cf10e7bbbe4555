/** Philox 4x32-10 (Salmon et al. 2011) with exact integers: what shaders/lib/philox.wgsl must give. */
export function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [a, b, c, d] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  const low = (x: bigint) => x & 0xffffffffn;
  for (let round = 0; round < 10; round++) {
    const [p, q] = [0xd2511f53n * a, 0xcd9e8d57n * c];
    [a, b, c, d] = [(q >> 32n) ^ b ^ k0, low(q), (p >> 32n) ^ d ^ k1, low(p)];
    [k0, k1] = [low(k0 + 0x9e3779b9n), low(k1 + 0xbb67ae85n)];
  }
  return [a, b, c, d].map(Number);
}

/** Element `index` of a random stream: key = (seed low, seed high, position low, position high). */
export function randomWord(key: ArrayLike<number>, stream: number, index: number): number {
  const position = BigInt(key[2] as number) + (BigInt(key[3] as number) << 32n) + BigInt(stream);
  const counter = [Math.floor(index / 4), 0, Number(position & 0xffffffffn), Number((position >> 32n) & 0xffffffffn)];
  return philox(counter, [key[0] as number, key[1] as number])[index % 4] as number;
}

/** In [0, 1), with 24 bits. */
export const randomUniform = (key: ArrayLike<number>, stream: number, index: number) =>
  Math.floor(randomWord(key, stream, index) / 256) / 2 ** 24;
