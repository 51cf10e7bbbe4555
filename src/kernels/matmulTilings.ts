import product from '../../shaders/lib/product.wgsl' with { type: 'text' };
import productBlocks from '../../shaders/lib/productBlocks.wgsl' with { type: 'text' };
import store from '../../shaders/lib/store.wgsl' with { type: 'text' };
import quadsText from '../../shaders/matmul/quads.wgsl' with { type: 'text' };
import registersText from '../../shaders/matmul/registers.wgsl' with { type: 'text' };
import tiledText from '../../shaders/matmul/tiled.wgsl' with { type: 'text' };
import type { DeviceProfile } from './kernel.ts';
import './blocksLibrary.ts';
import { addLibrary } from './library.ts';
import { loop } from './loopLimit.ts';
import type { Product } from './matmulProblem.ts';

addLibrary({ product, productBlocks, store });

/** How a variant cuts the output: rows and columns of a tile, tiles and threads of a workgroup, and the constants that say so. */
export interface Tiling {
  readonly source: string;
  readonly M: number;
  readonly N: number;
  readonly perGroup: number;
  readonly threads: number;
  /** Turns of a thread's loops for `k` steps along K. */
  turns(k: number): number;
  /** Whether it reads operands in blocks of 4×4 (productBlocks.wgsl); else it brings them into workgroup memory. */
  readonly inBlocks: boolean;
  /** Whether sums of an operand have threads of their own, which may read it in either direction. */
  readonly sumsApart: boolean;
  readonly constants: Readonly<Record<string, number>>;
}

const inWorkgroupMemory = (M: number, N: number, K: number, blocksM: number, blocksN: number): Tiling => ({
  source: tiledText,
  M,
  N,
  perGroup: 1,
  threads: (M * N) / (16 * blocksM * blocksN),
  // Tiles are brought by all threads, their sums are added up, and blocks are stored in up to four pieces.
  turns(k) {
    const bring = loop(Math.ceil((M * K) / (4 * this.threads))) + loop(Math.ceil((N * K) / (4 * this.threads)));
    return (
      loop(Math.ceil(k / K), bring + loop(K / 4)) + loop(this.threads) + loop(4) + loop(4 * blocksM * blocksN, loop(4))
    );
  },
  inBlocks: false,
  sumsApart: false,
  constants: { TILE_M: M, TILE_N: N, TILE_K: K, BLOCKS_M: blocksM, BLOCKS_N: blocksN },
});

/** Turns of a thread that makes sums of an operand: `sumLines` in shaders/lib/productBlocks.wgsl. */
const sumTurns = (k: number) => loop(Math.ceil(k / 128), loop(32)) + loop(4);

/** A tile for each thread. */
const inRegisters = (blocks: number): Tiling => ({
  source: registersText,
  M: 4 * blocks,
  N: 4 * blocks,
  perGroup: 8,
  threads: 8,
  turns: (k) => Math.max(loop(Math.ceil(k / 4)) + loop(4 * blocks, loop(blocks, loop(4))), sumTurns(k)),
  inBlocks: true,
  sumsApart: true,
  constants: { BLOCKS: blocks },
});

/** A tile for the four lanes of a quad. */
const inQuads = (blocks: number): Tiling => ({
  source: quadsText,
  M: 16 * blocks,
  N: 16,
  perGroup: 1,
  threads: 4,
  turns: (k) => Math.max(loop(Math.ceil(k / 4)) + loop(16 * blocks, loop(4)), sumTurns(k)),
  inBlocks: true,
  sumsApart: true,
  constants: { BLOCKS: blocks },
});

export const tilings = {
  tiled32: inWorkgroupMemory(32, 32, 16, 1, 1),
  tiled64: inWorkgroupMemory(64, 64, 16, 1, 1),
  tiled64x128: inWorkgroupMemory(64, 128, 16, 2, 1),
  tiled128: inWorkgroupMemory(128, 128, 8, 2, 2),
  registers4: inRegisters(1),
  registers8: inRegisters(2),
  registers16: inRegisters(4),
  quads16: inQuads(1),
  quads: inQuads(2),
} as const satisfies Record<string, Tiling>;

export type TilingName = keyof typeof tilings;

/** How many sums ride along. */
export const sumLines = ({ M, N, sum }: Product): number => (sum ? { a: M, b: N }[sum.of] : 0);

/** Workgroups for the tiles of the output and the sums that have threads of their own. */
export function workgroups(product: Product, tiling: Tiling, splits = 1): number {
  const { M, N, perGroup, threads, sumsApart } = tiling;
  const tiles = Math.ceil(product.M / M) * Math.ceil(product.N / N) * product.batches * splits;
  const sums = sumsApart ? Math.ceil(sumLines(product) / 4) * splits : 0;
  return Math.ceil((tiles + (sums * perGroup) / threads) / perGroup);
}

/** Where a tiling is worth it: from so many workgroups, rows, columns and products of scalars on. The first row that fits is taken. */
interface Row {
  readonly name: TilingName;
  readonly workgroups?: number;
  readonly scalars?: number;
  readonly M: number;
  readonly N: number;
}

const tables: Readonly<Record<'gpu' | 'software' | 'softwareWithSubgroups', readonly Row[]>> = {
  gpu: [
    { name: 'tiled128', workgroups: 256, M: 65, N: 65 },
    { name: 'tiled64x128', workgroups: 256, M: 33, N: 65 },
    { name: 'tiled64', workgroups: 64, M: 33, N: 33 },
    { name: 'tiled32', M: 1, N: 1 },
  ],
  // Mesa's lavapipe. It compiles registers16 for 0.35 s and registers8 for 0.2, which is slower by a tenth on small products.
  software: [
    { name: 'registers16', scalars: 2 ** 22, M: 5, N: 9 },
    { name: 'registers8', M: 5, N: 5 },
    { name: 'registers4', M: 1, N: 1 },
  ],
  // SwiftShader. It compiles quads for 0.1 s and quads16 for 0.07.
  softwareWithSubgroups: [
    { name: 'quads', scalars: 2 ** 22, M: 17, N: 9 },
    { name: 'quads16', M: 17, N: 9 },
    { name: 'registers8', M: 5, N: 5 },
    { name: 'registers4', M: 1, N: 1 },
  ],
};

/** The tiling for a product that is not split, by its shape and the kind of device. */
export function tilingOf(product: Product, { selection, subgroups }: DeviceProfile): TilingName {
  const table = tables[selection === 'software' && subgroups ? 'softwareWithSubgroups' : selection];
  const { M, N, K, batches } = product;
  const fits = (row: Row) =>
    M >= row.M &&
    N >= row.N &&
    batches * M * N * K >= (row.scalars ?? 0) &&
    workgroups(product, tilings[row.name]) >= (row.workgroups ?? 1);
  return (table.find(fits) ?? (table.at(-1) as Row)).name;
}
