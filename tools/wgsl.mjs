/** WGSL as the package carries it: without comments, without the space that no compiler needs, and with short names. */

/** Characters that may join with one of their kind to another operator: `a - -b`. */
const operators = /[-+*/%&|<>=!^~]/;
const word = /[\w$]/;

/**
 * The same text, but for names that functions have for themselves, in less of it. The lines `of` and `uses` stay, since the specialiser reads them, and so does the end of each
 * declaration's line: it looks for declarations at the beginning of one. WGSL has no strings: whatever looks like a comment
 * is one.
 * @param {string} source
 * @returns {string}
 */
export function minifyWgsl(source) {
  const [, uses = '', rest = ''] = /^((?:\/\/ (?:of|uses): .*\n)*)([\s\S]*)$/.exec(source) ?? [];
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
  return uses + withShortNames(short);
}

/**
 * Parameters and variables of functions with names of a letter or two. All else that has a name keeps it: the specialiser
 * finds constants, aliases and functions by theirs, and texts of other files and of hooks use them.
 * @param {string} text without comments
 * @returns {string}
 */
function withShortNames(text) {
  let short = '';
  let end = 0;
  for (const { index } of text.matchAll(/\bfn [\w$]+\(/g)) {
    short += text.slice(end, index);
    end = endOfBlock(text, index);
    short += shortFunction(text.slice(index, end));
  }
  return short + text.slice(end);
}

/**
 * Where the first block after `start` ends.
 * @param {string} text
 * @param {number} start
 */
function endOfBlock(text, start) {
  let depth = 0;
  for (let i = text.indexOf('{', start); i >= 0 && i < text.length; i++) {
    if (text[i] === '{') depth++;
    if (text[i] === '}' && --depth === 0) return i + 1;
  }
  throw new Error(`this function has no end: ${text.slice(start, start + 60)}`);
}

/** Attributes with what they hold, members with their dot, numbers, words, and single characters of any other kind. */
const token = /@\w+(?:\([^)]*\))?|\.[A-Za-z_$][\w$]*|\d[\w.]*|[A-Za-z_$][\w$]*|\s|\S/g;
const name = /^[A-Za-z_]\w*$/;

/** @param {string} text a function, from `fn` on */
function shortFunction(text) {
  const tokens = text.match(token) ?? [];
  const names = localNames(tokens);
  const taken = new Set(tokens.filter((each) => !names.has(each)));
  const free = shortNames(taken);
  const short = new Map([...names].map((each) => [each, String(free.next().value)]));
  return tokens.map((each) => short.get(each) ?? each).join('');
}

/**
 * Names that a function declares, in the order in which it does, but for those that mean something else in another place of
 * it: a name is hidden only where its scope has begun, behind the end of its declaration.
 * @param {readonly string[]} tokens
 * @returns {Set<string>}
 */
function localNames(tokens) {
  /** @type {Set<string>} */
  const declared = new Set();
  /** @type {Set<string>} */
  const outer = new Set();
  const bodyStart = tokens.indexOf('{');
  /** The scope of a loop's header holds that of its body, and ends with it. */
  const scopes = [{ isLoop: false, names: new Set() }];
  let pending = '';
  for (let i = 0; i < tokens.length; i++) {
    const each = tokens[i] ?? '';
    const scope = scopes.at(-1);
    if (each === 'for' || each === '{') scopes.push({ isLoop: each === 'for', names: new Set() });
    else if (each === '}') {
      scopes.pop();
      if (scopes.at(-1)?.isLoop) scopes.pop();
    } else if (each === ';') {
      scope?.names.add(pending);
      pending = '';
    } else if (name.test(each)) {
      const isParameter = i < bodyStart && tokens[i + 1] === ':';
      if (isParameter || pending === declares) {
        declared.add(each);
        if (isParameter) scope?.names.add(each);
        else pending = each;
      } else if (each === 'let' || each === 'var' || each === 'const') {
        pending = declares;
        // `var<private>`
        if (tokens[i + 1] === '<') i = tokens.indexOf('>', i);
      } else if (!scopes.some(({ names }) => names.has(each))) outer.add(each);
    }
  }
  return new Set([...declared].filter((each) => !outer.has(each)));
}

/** What stands for a name until it is read. */
const declares = ' ';

/**
 * Names of a letter or two that are not taken, and no words of the language.
 * @param {ReadonlySet<string>} taken
 */
function* shortNames(taken) {
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  const words = ['as', 'do', 'fn', 'if', 'in', 'is', 'of', 'or'];
  for (const first of ['', ...letters])
    for (const last of letters) if (!taken.has(first + last) && !words.includes(first + last)) yield first + last;
  throw new Error('a function has more variables than there are names of two letters');
}
