/** The first key that some object of a valid JSON text has twice, or null. `JSON.parse` keeps the last one in silence. */
export function duplicateKey(json: string): string | null {
  const objects: Set<string>[] = [];
  // Strings that a colon follows are keys; braces within strings are skipped with them.
  for (const [token, text, colon] of json.matchAll(/("(?:[^"\\]|\\.)*")\s*(:?)|[{}]/g)) {
    if (token === '{') objects.push(new Set());
    else if (token === '}') objects.pop();
    else if (colon) {
      // Parsed, because "\u0061" is "a".
      const key: string = JSON.parse(text as string);
      const keys = objects.at(-1) as Set<string>;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return null;
}
