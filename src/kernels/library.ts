import bits from '../../shaders/lib/bits.wgsl' with { type: 'text' };
import elementwise from '../../shaders/lib/elementwise.wgsl' with { type: 'text' };
import order from '../../shaders/lib/order.wgsl' with { type: 'text' };
import quotient from '../../shaders/lib/quotient.wgsl' with { type: 'text' };
import status from '../../shaders/lib/status.wgsl' with { type: 'text' };
import { WeftError } from '../core/errors.ts';

/**
 * Functions that shaders share, by the name of their file. The first lines of a shader, and of such a file, say what it uses,
 * `// uses: order.wgsl, attentionRow.wgsl(q k)`, and those of a file what it is about, `// of: operand`: what is given for
 * that stands in place of `$operand` in its text, and in place of `$Operand` with a capital letter. A file can be used many times.
 * What most kernels need is here; each family adds what its own do, so that it comes with the family.
 */
const files = new Map<string, string>();

/** Adds files of shaders/lib/. */
export function addLibrary(texts: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(texts)) files.set(name, text);
}

/** The texts of all files that a shader uses, and that these use, each once; what is used comes first. */
export function libraryOf(source: string, more: readonly string[] = []): string[] {
  const texts = new Map<string, string>();
  const take = (use: string) => {
    for (const [name, text] of textsOf(use)) {
      if (texts.has(name)) continue;
      usesOf(text).forEach(take);
      texts.set(name, text);
    }
  };
  [...usesOf(source), ...more].forEach(take);
  return [...texts.values()];
}

/** A file as it is, or a text for each of what it is used for: `attentionRow.wgsl(q k)` makes two. */
function textsOf(use: string): [name: string, text: string][] {
  const [name = '', given] = use.split(/[()]/);
  const file = files.get(name);
  if (file === undefined) throw new WeftError(`[specialise] shaders/lib/ has no file ${name}`);
  const topics = /^\/\/ of: (.*)/.exec(file)?.[1]?.split(', ') ?? [];
  if (topics.length === 0 && given === undefined) return [[name, file]];
  const names = given?.split(' ') ?? [];
  if (topics.length === 0 || names.length === 0 || names.length % topics.length > 0)
    throw new WeftError(`[specialise] ${use}: the file is of ${topics.join(', ') || 'nothing'}`);
  return Array.from({ length: names.length / topics.length }, (_, i) => {
    const own = names.slice(i * topics.length, (i + 1) * topics.length);
    const text = topics.reduce((before, topic, at) => instance(before, topic, own[at] as string), file);
    return [`${name}(${own.join(' ')})`, text];
  });
}

const usesOf = (text: string) => /^(?:\/\/ of: .*\n)?\/\/ uses: (.*)/.exec(text)?.[1]?.split(', ') ?? [];

const capital = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);

const instance = (text: string, topic: string, name: string) =>
  text.replaceAll(`$${topic}`, name).replaceAll(`$${capital(topic)}`, capital(name));

/** The files that were added. */
export const libraryFiles = (): readonly string[] => [...files.keys()];

addLibrary({ 'bits.wgsl': bits, 'elementwise.wgsl': elementwise, 'order.wgsl': order });
addLibrary({ 'quotient.wgsl': quotient, 'status.wgsl': status });
