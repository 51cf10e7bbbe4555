import bits from '../../shaders/lib/bits.wgsl' with { type: 'text' };
import elementwise from '../../shaders/lib/elementwise.wgsl' with { type: 'text' };
import order from '../../shaders/lib/order.wgsl' with { type: 'text' };
import quotient from '../../shaders/lib/quotient.wgsl' with { type: 'text' };
import status from '../../shaders/lib/status.wgsl' with { type: 'text' };
import { WeftError } from '../core/errors.ts';

/**
 * Functions that shaders share, by the name of their file. The first lines of a shader, and of such a file, say what it uses,
 * `// uses: order, attentionRow(q k)`, and those of a file what it is about, `// of: operand`: what is given for
 * that stands in place of `$operand` in its text, and in place of `$Operand` with a capital letter. A file can be used many times.
 * What most kernels need is here; each family adds what its own do, so that it comes with the family.
 */
const files: Record<string, string> = {};

/** Adds files of shaders/lib/. */
export function addLibrary(texts: Readonly<Record<string, string>>): void {
  Object.assign(files, texts);
}

/** The texts of all files that a shader uses, and that these use, each once, some `instead` of others; what is used comes first. */
export function libraryOf(
  source: string,
  more: readonly string[] = [],
  instead: Readonly<Record<string, string>> = {},
): string[] {
  const texts = new Map<string, string>();
  const take = (use: string) => {
    for (const [name, text] of textsOf(instead[use] ?? use)) {
      if (texts.has(name)) continue;
      listed('uses', text).forEach(take);
      texts.set(name, text);
    }
  };
  [...listed('uses', source), ...more].forEach(take);
  return [...texts.values()];
}

/** A file as it is, or a text for each of what it is used for: `attentionRow(q k)` makes two. */
function textsOf(use: string): [name: string, text: string][] {
  const [name = '', given = ''] = use.split(/[()]/);
  const file = files[name];
  if (file === undefined) throw new WeftError(`[specialise] shaders/lib/ has no ${name}`);
  const topics = listed('of', file);
  if (topics.length === 0) return [[use, file]];
  const names = given.split(' ');
  return Array.from({ length: names.length / topics.length }, (_, i) => {
    const own = names.slice(i * topics.length, (i + 1) * topics.length);
    return [`${name}(${own})`, topics.reduce((text, topic, at) => instance(text, topic, own[at] as string), file)];
  });
}

/** What the line `word: …` of a text's head lists; files may be named in full, `order.wgsl`. */
const listed = (word: string, text: string) =>
  new RegExp(`^(?:// \\w+: .*\n)??// ${word}: (.*)`).exec(text)?.[1]?.replaceAll('.wgsl', '').split(', ') ?? [];

const capital = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);

const instance = (text: string, topic: string, name: string) =>
  text.replaceAll(`$${topic}`, name).replaceAll(`$${capital(topic)}`, capital(name));

addLibrary({
  bits,
  elementwise,
  order,
  quotient,
  status,
});
