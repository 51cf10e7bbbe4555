/** The embedded text is the project's own source: shaders, TypeScript, README. */
export const isSource = (path: string) => /^(README\.md|(src|shaders)\/.+\.(ts|wgsl))$/.test(path);

/**
 * All sources as one text, each under a line with its path. The order is fixed, and mixed: both languages are in the
 * last tenth, on which a model is judged.
 */
export function corpusOf(sources: Readonly<Record<string, string>>): string {
  const paths = Object.keys(sources).filter(isSource);
  const order = paths
    .map((path) => ({ path, key: hash(path) }))
    .sort((a, b) => a.key - b.key || (a.path < b.path ? -1 : 1));
  return order
    .map(({ path }) => `// ${path}\n${(sources[path] as string).replaceAll('\r\n', '\n').trim()}\n`)
    .join('\n');
}

/** FNV-1a, with a last mix since paths differ mostly at their ends. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  return (value ^ (value >>> 13)) >>> 0;
}

/** SHA-256 of a text, in hexadecimal: tells whether a checkpoint goes on with the text that it began with. */
export async function fingerprint(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
