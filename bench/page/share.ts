import type { Row } from '../rows.ts';

/** What a link holds after its `#`: a selection, and the results of a run where there are some. */
export interface Shared {
  readonly chosen: readonly string[];
  readonly contenders: readonly string[];
  readonly variants: boolean;
  readonly quick: boolean;
  readonly rows: readonly Row[];
}

/** Packs it into text that a URL may hold: JSON, compressed, in base64url. */
export async function pack(shared: Shared): Promise<string> {
  const bytes = await through(new TextEncoder().encode(JSON.stringify(shared)), new CompressionStream('gzip'));
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/** Unpacks what `pack` made; null for any other text, such as a link that was cut off. */
export async function unpack(text: string): Promise<Shared | null> {
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const json = new TextDecoder().decode(await through(bytes, new DecompressionStream('gzip')));
    const shared = JSON.parse(json) as Shared;
    return Array.isArray(shared.chosen) && Array.isArray(shared.contenders) && Array.isArray(shared.rows)
      ? shared
      : null;
  } catch {
    return null;
  }
}

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: CompressionStream | DecompressionStream,
): Promise<Uint8Array> {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}
