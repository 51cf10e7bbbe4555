import type { JSDoc } from 'typescript/unstable/ast';
import type { Checker, Project, Signature, Type, Symbol as TypeSymbol } from 'typescript/unstable/async';

/**
 * Finds the public names that have no docstring, as TypeScript's own compiler sees them: what entries of the package export,
 * and the members that a user sees of it. Needs Deno or Node: the compiler is a process.
 */

export interface Names {
  /** Every name with a docstring, as a user writes it: `nn.Linear.forward`. */
  readonly documented: readonly string[];
  /** The others, each with the file that declares it. */
  readonly missing: readonly string[];
}

/** @param entries files, from the root of the project: `src/index.ts` */
export async function publicNames(entries: readonly string[]): Promise<Names> {
  const { API } = await import('typescript/unstable/async');
  const { resolve } = await import('node:path');
  const config = resolve('tsconfig.json');
  const api = new API({ cwd: resolve('.') });
  try {
    const snapshot = await api.updateSnapshot({ openProjects: [config] });
    const project = snapshot.getProject(config);
    if (!project) throw new Error(`the compiler has not opened ${config}`);
    const survey = new Survey(project, await import('typescript/unstable/async'), `${resolve('.')}/`);
    for (const entry of entries) await survey.entry(resolve(entry));
    return await survey.names();
  } finally {
    await api.close();
  }
}

type Compiler = typeof import('typescript/unstable/async');

class Survey {
  readonly #project: Project;
  readonly #checker: Checker;
  readonly #compiler: Compiler;
  readonly #root: string;
  /** Declarations that were looked at: what two entries export counts once. */
  readonly #seen = new Set<string>();
  readonly #types = new Set<string>();
  readonly #exported: [symbol: TypeSymbol, name: string][] = [];
  readonly #documented = new Set<string>();
  readonly #missing = new Map<string, string>();

  constructor(project: Project, compiler: Compiler, root: string) {
    this.#project = project;
    this.#checker = project.checker;
    this.#compiler = compiler;
    this.#root = root;
  }

  async names(): Promise<Names> {
    // Whatever has a name of its own has been looked at under that.
    for (const [symbol, name] of this.#exported) await this.#membersOf(symbol, name);
    // A method that was made of a function is documented there.
    const missing = [...this.#missing].filter(
      ([name, path]) => !(path === 'src/methods.ts' && this.#documented.has(name.replace(/^.*\./, ''))),
    );
    return { documented: [...this.#documented], missing: missing.map(([name, path]) => `${name} (${path})`) };
  }

  async entry(path: string): Promise<void> {
    const file = await this.#project.program.getSourceFile(path);
    const symbol = file && (await this.#checker.getSymbolAtLocation(file));
    if (!symbol) throw new Error(`${path} exports nothing`);
    await this.#exports(symbol, '');
  }

  async #exports(module: TypeSymbol, prefix: string): Promise<void> {
    const { SymbolFlags } = this.#compiler;
    for (const exported of await this.#checker.getExportsOfModule(module)) {
      const name = prefix + exported.name;
      const isAlias = (exported.flags & SymbolFlags.Alias) !== 0;
      const symbol = isAlias ? await this.#checker.getAliasedSymbol(exported) : exported;
      if (symbol.flags & SymbolFlags.Module) {
        if (this.#look(exported)) await this.#note(exported, name, await this.#aboveNamespace(exported));
        await this.#exports(symbol, `${name}.`);
      } else if (this.#look(symbol)) {
        await this.#note(symbol, name);
        this.#exported.push([symbol, name]);
      }
    }
  }

  async #membersOf(symbol: TypeSymbol, name: string): Promise<void> {
    const { SymbolFlags, SignatureKind } = this.#compiler;
    if (symbol.flags & SymbolFlags.Type)
      await this.#properties(await this.#checker.getDeclaredTypeOfSymbol(symbol), name);
    if (!(symbol.flags & SymbolFlags.Value)) return;
    const type = await this.#checker.getTypeOfSymbol(symbol);
    if (!type) return;
    if (symbol.flags & SymbolFlags.Class) {
      await this.#properties(type, name);
      for (const signature of await this.#checker.getSignaturesOfType(type, SignatureKind.Construct))
        await this.#signature(signature, name);
    }
    await this.#inline(type, name);
  }

  async #properties(type: Type, owner: string): Promise<void> {
    for (const property of await this.#checker.getPropertiesOfType(type)) {
      if (!this.#isOurs(property) || !(await this.#isPublic(property)) || !this.#look(property)) continue;
      const name = `${owner}.${property.name}`;
      await this.#note(property, name, await this.#inherited(type, property.name));
      const its = await this.#checker.getTypeOfSymbol(property);
      if (its) await this.#inline(its, name);
    }
  }

  /**
   * What a type says where it stands, without a name of its own: `{ readonly seed?: number }`, and what functions take. With
   * `taken`, it is the type of an argument: options count whether their interface is exported or not.
   */
  async #inline(type: Type, name: string, taken = false): Promise<void> {
    const { SymbolFlags, SignatureKind } = this.#compiler;
    // A type may hold itself, as that of nested arrays does.
    const key = `${type.id} ${taken}`;
    if (this.#types.has(key)) return;
    this.#types.add(key);
    if (type.isUnionType() || type.isIntersectionType()) {
      for (const part of await type.getTypes()) await this.#inline(part, name, taken);
      return;
    }
    const symbol = await type.getSymbol();
    if (type.isTypeReference())
      for (const argument of await this.#checker.getTypeArguments(type)) await this.#inline(argument, name, taken);
    if (!symbol || !this.#isOurs(symbol)) return;
    const isOptions = taken && (symbol.flags & SymbolFlags.Interface) !== 0;
    if (symbol.flags & SymbolFlags.TypeLiteral || isOptions) await this.#properties(type, name);
    if (symbol.flags & (SymbolFlags.TypeLiteral | SymbolFlags.Function | SymbolFlags.Method))
      for (const signature of await this.#checker.getSignaturesOfType(type, SignatureKind.Call))
        await this.#signature(signature, name);
  }

  /** What a function gives is the matter of its own docstring. */
  async #signature(signature: Signature, name: string): Promise<void> {
    if (!this.#lookAt(signature.declaration, 'signature ')) return;
    for (const parameter of await signature.getParameters()) {
      const type = await this.#checker.getTypeOfSymbol(parameter);
      if (type) await this.#inline(type, `${name}(${parameter.name})`, true);
    }
  }

  /** The comment above `export * as name`, which the checker doesn't give. */
  async #aboveNamespace(exported: TypeSymbol): Promise<string> {
    const node = await exported.declarations[0]?.resolve();
    const { getTextOfJSDocComment } = await import('typescript/unstable/ast');
    const comments = (node?.parent.jsDoc ?? []) as readonly JSDoc[];
    return comments.map(({ comment }) => getTextOfJSDocComment(comment) ?? '').join('');
  }

  /** What classes and interfaces above say of a member. */
  async #inherited(type: Type, member: string): Promise<string> {
    let text = '';
    for (const base of (await type.getBaseTypes()) ?? []) {
      const property = await this.#checker.getPropertyOfType(base, member);
      if (!property || !this.#isOurs(property)) continue;
      text += await this.#checker.getDocumentationCommentOfSymbol(property);
      text += await this.#inherited(base, member);
    }
    return text;
  }

  async #note(symbol: TypeSymbol, name: string, inherited = ''): Promise<void> {
    const text = inherited + (await this.#checker.getDocumentationCommentOfSymbol(symbol));
    if (text.trim() !== '') this.#documented.add(name);
    else this.#missing.set(name, this.#pathOf(symbol) ?? 'nowhere');
  }

  async #isPublic(symbol: TypeSymbol): Promise<boolean> {
    const { ModifierFlags } = this.#compiler;
    // Private fields, and what the platform calls: `[Symbol.dispose]`.
    if (/^__[#@]/.test(symbol.name) || symbol.name === 'prototype') return false;
    const node = (await symbol.declarations[0]?.resolve()) as { readonly modifierFlags?: number } | undefined;
    return !((node?.modifierFlags ?? 0) & (ModifierFlags.Private | ModifierFlags.Protected));
  }

  #isOurs(symbol: TypeSymbol): boolean {
    const path = this.#pathOf(symbol);
    return path !== undefined && !path.includes('node_modules/') && !path.startsWith('/') && !path.includes('://');
  }

  #pathOf(symbol: TypeSymbol): string | undefined {
    return symbol.declarations[0]?.path.replace(this.#root, '');
  }

  /** False for what was looked at before. */
  #look(symbol: TypeSymbol): boolean {
    return this.#lookAt(symbol.declarations[0]);
  }

  #lookAt(declaration: { readonly path: string; readonly index: number } | undefined, as = ''): boolean {
    const key = `${as}${declaration?.path}:${declaration?.index}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }
}
