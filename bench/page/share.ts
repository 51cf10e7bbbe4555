import { conform, type Schema, SchemaError } from '../../demo/schema.ts';
import { between, flag, integerFrom, type Kind, listOf, nullable, oneOf, text } from '../../src/core/options.ts';
import type { Row } from '../rows.ts';

/** What a link holds after its `#`: a selection, and the results of a run where there are some. */
export interface Shared {
  readonly chosen: readonly string[];
  readonly contenders: readonly string[];
  readonly variants: boolean;
  readonly quick: boolean;
  readonly rows: readonly Row[];
}

/** A link that holds nothing to be shown; the message says why. */
export class LinkError extends Error {
  override readonly name = 'LinkError';
}

/** Packs it into text that a URL may hold: JSON, compressed, in base64url. */
export async function pack(shared: Shared): Promise<string> {
  const stream = new Blob([JSON.stringify(shared)]).stream().pipeThrough(new CompressionStream('gzip'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/**
 * Unpacks what `pack` made. Throws LinkError for any other text: a link that was cut off, one whose results are none, or
 * one that unpacks to more than any run has.
 */
export async function unpack(link: string): Promise<Shared> {
  try {
    const binary = atob(link.replaceAll('-', '+').replaceAll('_', '/'));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const { rows, ...picked } = conform(schema, JSON.parse(await unzipped(bytes)), 'it');
    return { ...picked, rows: rows.map((row, i) => conform(rowSchema, row, `it.rows[${i}]`)) };
  } catch (error) {
    if (error instanceof LinkError) throw error;
    const why = error instanceof SchemaError ? error.message : 'was it cut off?';
    throw new LinkError(`The link holds no results that can be read: ${why}`);
  }
}

/** Text of a run with all variants, many times over. */
const mostBytes = 4_000_000;
const mostRows = 3000;
/** A stream unpacks all that it is given at once, to a thousand times as much. */
const bytesAtOnce = 1024;

/** Unpacks in small pieces, and stops at the first that is too much: a short link may unpack to more than memory holds. */
async function unzipped(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  let given = 0;
  const packed = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      pull(controller) {
        if (given >= bytes.length) return controller.close();
        controller.enqueue(bytes.slice(given, given + bytesAtOnce));
        given += bytesAtOnce;
      },
    },
    { highWaterMark: 0 },
  );
  const reader = packed.pipeThrough(new DecompressionStream('gzip')).getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    size += next.value.length;
    if (size > mostBytes) {
      reader.cancel().catch(() => {});
      throw new LinkError(`The link unpacks to more than ${mostBytes / 1e6} MB: this page made none like it`);
    }
    parts.push(next.value);
  }
  return new Blob(parts).text();
}

const list = listOf(text);
const someRows: Kind<readonly unknown[]> = {
  wanted: `an array of at most ${mostRows} rows`,
  accepts: (value): value is readonly unknown[] => Array.isArray(value) && value.length <= mostRows,
};
const schema = {
  chosen: list,
  contenders: list,
  variants: flag,
  quick: flag,
  rows: someRows,
} satisfies Schema;

/** Bounds that no device will reach: charts divide such numbers, and take their logarithms. */
const time = nullable(between(1e-6, 1e12));
const amount = nullable(between(0, 1e15));
const number = nullable(integerFrom(0));
const rowSchema = {
  suite: oneOf('kernels', 'training steps', 'memory', 'limits'),
  name: text,
  shape: text,
  dtype: oneOf('f32'),
  runtime: text,
  adapter: text,
  contender: text,
  medianMs: time,
  p10Ms: time,
  p90Ms: time,
  gflops: amount,
  gbps: amount,
  fractionOfLimit: amount,
  dispatches: number,
  submits: number,
  buffers: number,
  bufferBytes: amount,
  planBytes: amount,
  maxError: amount,
  rounds: number,
  calls: number,
  note: text,
} satisfies Record<keyof Row, Kind<unknown>>;
