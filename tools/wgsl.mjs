/** WGSL as the package carries it: without comments, and without the space that no compiler needs. */

/** Characters that may join with one of their kind to another operator: `a - -b`. */
const operators = /[-+*/%&|<>=!^~]/;
const word = /\w/;

/**
 * The same tokens in less text. The `uses` line stays, since the specialiser reads it, and so does the end of each
 * declaration's line: it looks for declarations at the beginning of one. WGSL has no strings: whatever looks like a comment
 * is one.
 * @param {string} source
 * @returns {string}
 */
export function minifyWgsl(source) {
  const [, uses = '', rest = ''] = /^(\/\/ uses: .*\n)?([\s\S]*)$/.exec(source) ?? [];
  const text = rest.replace(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
  let short = '';
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i] ?? '';
    if (/\s/.test(character)) {
      let next = i + 1;
      while (next < text.length && /\s/.test(text[next] ?? '')) next++;
      const [before, after] = [short.at(-1) ?? '', text[next] ?? ''];
      const isEnd = depth === 0 && text.slice(i, next).includes('\n');
      if (isEnd) short += before === '\n' || before === '' ? '' : '\n';
      else if ((word.test(before) && word.test(after)) || (operators.test(before) && operators.test(after)))
        short += ' ';
      i = next - 1;
      continue;
    }
    if (character === '{' || character === '(') depth++;
    if (character === '}' || character === ')') depth--;
    short += character;
  }
  return uses + short;
}
