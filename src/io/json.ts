/**
 * Checks JSON of files that anybody may have written: of any length, nested to any depth. No function here calls itself,
 * and no regular expression runs over a text as a whole: both would use up the stack.
 */

/** How deep the arrays and objects of a JSON text are nested. Of a text that is no valid JSON, a number without meaning. */
export function depthOf(json: string): number {
  let [depth, deepest] = [0, 0];
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === quote) at = endOfString(json, at) - 1;
    else if (code === openBrace || code === openBracket) deepest = Math.max(deepest, ++depth);
    else if (code === closeBrace || code === closeBracket) depth--;
  }
  return deepest;
}

/** The first key that some object of a valid JSON text has twice, or null. `JSON.parse` keeps the last one in silence. */
export function duplicateKey(json: string): string | null {
  const objects: Set<string>[] = [];
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === openBrace) objects.push(new Set());
    else if (code === closeBrace) objects.pop();
    else if (code === quote) {
      const start = at;
      const end = endOfString(json, start);
      at = end - 1;
      if (!isKey(json, end)) continue;
      // Parses the key, because "\u0061" is "a".
      const key: string = JSON.parse(json.slice(start, end));
      const keys = objects.at(-1) as Set<string>;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return null;
}

const [quote, backslash, colon] = [0x22, 0x5c, 0x3a];
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];

/** The place behind the string that begins at `start`, or the end of a text in which it does not end. */
function endOfString(json: string, start: number): number {
  for (let from = start + 1; ; ) {
    const end = json.indexOf('"', from);
    if (end < 0) return json.length;
    // Behind an odd number of backslashes, a quote belongs to the string.
    let first = end;
    while (first > from && json.charCodeAt(first - 1) === backslash) first--;
    if ((end - first) % 2 === 0) return end + 1;
    from = end + 1;
  }
}

/** Whether a colon follows the string that ends at `end`: strings that a colon follows are keys. */
function isKey(json: string, end: number): boolean {
  let at = end;
  while (json.charCodeAt(at) <= 0x20) at++;
  return json.charCodeAt(at) === colon;
}
