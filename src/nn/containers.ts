import { ValueError } from '../core/errors.ts';
import { expectKind, integer, iterable, object, shown } from '../core/options.ts';
import { Module } from './module.ts';

/** Modules in a list; their parameters are named `0.weight`, `1.weight`, … as in PyTorch. What runs them is up to who holds it. */
export class ModuleList<M extends Module = Module> extends Module implements Iterable<M> {
  readonly #modules: M[] = [];

  constructor(modules: Iterable<M> = []) {
    super();
    expectKind('ModuleList', 'modules', modules, iterable);
    for (const module of modules) this.push(module);
  }

  /** How many there are. */
  get length(): number {
    return this.#modules.length;
  }

  /** The module at a place; negative ones count from the end. Throws a ValueError where there is none. */
  at(index: number): M {
    expectKind('ModuleList', 'index', index, integer);
    const found = this.#modules.at(index);
    if (found) return found;
    throw new ValueError(`[ModuleList] there is no module ${index} among ${this.length}`);
  }

  /** Adds a module at the end. */
  push(module: M): this {
    if (!(module instanceof Module)) throw new ValueError(`[ModuleList] must hold modules, got ${shown(module)}`);
    Object.assign(this, { [this.length]: module });
    this.#modules.push(module);
    return this;
  }

  /** The modules in order. */
  [Symbol.iterator](): IterableIterator<M> {
    return this.#modules.values();
  }
}

/** Modules by name; their parameters are named `name.weight`, as in PyTorch. */
export class ModuleDict<M extends Module = Module> extends Module implements Iterable<[name: string, module: M]> {
  readonly #modules = new Map<string, M>();

  constructor(modules: Readonly<Record<string, M>> = {}) {
    super();
    expectKind('ModuleDict', 'modules', modules, object);
    for (const [name, module] of Object.entries(modules)) {
      if (!(module instanceof Module)) throw new ValueError(`[ModuleDict] must hold modules, got ${shown(module)}`);
      if (name in this)
        throw new ValueError(`[ModuleDict] a module can't be called ${shown(name)}, as something else is`);
      Object.assign(this, { [name]: module });
      this.#modules.set(name, module);
    }
  }

  /** The module of a name. Throws a ValueError where there is none. */
  get(name: string): M {
    const found = this.#modules.get(name);
    if (found) return found;
    throw new ValueError(
      `[ModuleDict] there is no module ${shown(name)}, only ${[...this.#modules.keys()].join(', ')}`,
    );
  }

  /** Whether there is a module of this name. */
  has(name: string): boolean {
    return this.#modules.has(name);
  }

  /** Names and modules in the order in which they were given. */
  [Symbol.iterator](): IterableIterator<[name: string, module: M]> {
    return this.#modules.entries();
  }
}
