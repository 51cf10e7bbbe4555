import '../methods.ts';
import { ValueError } from '../core/errors.ts';
import { fromHost } from '../graph/leaf.ts';
import { contentsOf, isPlainObject } from '../graph/nested.ts';
import { Parameter } from '../graph/parameter.ts';
import { currentTrace, noteChange } from '../graph/record.ts';
import type { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { assignAll } from '../ops/packing.ts';
import { detach } from '../ops/view.ts';
import { Buffer } from './buffer.ts';
import { type LoadOptions, type LoadReport, matchState, type StateDict } from './stateDict.ts';

/** A module that takes one tensor and gives one: what `Sequential` is made of. */
export type Layer = Module & {
  /** What the layer makes of x; the shapes that it takes are its own. */
  forward(x: Tensor): Tensor;
};

/** Set while a body runs that evaluates, whatever the modes of modules are. */
let isEvaluating = false;

/** Runs `body`, which is not async, with every module in evaluation mode; nobody else sees it, and no mode is touched. */
export function evaluating<T>(body: () => T): T {
  const before = isEvaluating;
  isEvaluating = true;
  try {
    return body();
  } finally {
    isEvaluating = before;
  }
}

/**
 * A part of a model. Its parameters, buffers and modules are whatever its fields hold, directly or in arrays, plain objects,
 * Maps and Sets; their names are the paths of the fields, with the keys of a Map and the positions in a Set. Those in objects
 * of other classes count as well, unless they have another name already: an optimizer or a trainer that a model holds adds
 * nothing to it. Private fields are not seen. It declares no `forward`: each module has the one that suits it.
 */
export abstract class Module {
  #training = true;

  /** Whether dropout and the like are on. A compiled step has a plan for each mode. */
  get training(): boolean {
    if (isEvaluating) return false;
    const read = () => this.#training;
    return currentTrace()?.guard(read) ?? read();
  }

  /** Puts this module, and all in it, in training mode. */
  train(mode = true): this {
    for (const module of this.modules()) module.#training = mode;
    noteChange();
    return this;
  }

  /** Puts this module, and all in it, in evaluation mode. */
  eval(): this {
    return this.train(false);
  }

  /**
   * Freezes the parameters of this module and of all in it: `backward` computes nothing for them, optimizers leave them alone.
   * PyTorch's `requires_grad_(False)`.
   */
  freeze(): this {
    for (const parameter of this.parameters()) parameter.requiresGrad = false;
    return this;
  }

  /** Lets the parameters of this module, and of all in it, be trained again. */
  unfreeze(): this {
    for (const parameter of this.parameters()) parameter.requiresGrad = true;
    return this;
  }

  /** This module and all in it. */
  modules(): Module[] {
    return [...new Set(walk(this).flatMap(({ value }) => (value instanceof Module ? [value] : [])))];
  }

  /** Each parameter once, under the first of its names. */
  namedParameters(): [name: string, parameter: Parameter][] {
    const seen = new Set<Parameter>();
    return walk(this).flatMap(({ path, value }): [string, Parameter][] => {
      if (!(value instanceof Parameter) || seen.has(value)) return [];
      seen.add(value);
      return [[path, value]];
    });
  }

  /** Each parameter once. */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** All states that values of the module lie in, packs of optimizers among them. @internal */
  get states(): State[] {
    return [...new Set(this.#slots().map(([, { state }]) => (state as State).home?.pack ?? (state as State)))];
  }

  /** The current values of parameters and buffers, under the names that PyTorch gives them. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.#slots().map(([name, slot]) => [name, snapshot(slot.version)]));
  }

  /**
   * Takes the values of `dict`; compiled steps stay valid. Throws one ValueError that lists all missing, unexpected and
   * mismatched entries, or, if not `strict`, loads what fits and returns the list.
   */
  loadStateDict(dict: StateDict, options?: LoadOptions): LoadReport {
    const slots = new Map(this.#slots());
    const { fitting, report } = matchState(this.constructor.name, slots, dict, options);
    const values = new Map<State, Tensor>();
    for (const [name, value] of fitting) values.set((slots.get(name) as Parameter | Buffer).state, value);
    assignAll(values);
    return report;
  }

  #slots(): [name: string, slot: Parameter | Buffer][] {
    return walk(this).flatMap(({ path, value }): [string, Parameter | Buffer][] =>
      value instanceof Module ? [] : [[path, value]],
    );
  }
}

/** A value that later steps do not overwrite. */
function snapshot(version: Tensor): Tensor {
  return version.source ? fromHost(version, version.source) : detach(version);
}

interface Place {
  readonly path: string;
  readonly value: Parameter | Buffer | Module;
}

/** What hangs on `module`, depth first, in the order of definition. */
function walk(module: Module): Place[] {
  const places: (Place & { readonly aside: boolean })[] = [];
  const visited = new Set<unknown>();
  const visit = (value: unknown, path: string, above: readonly unknown[], aside: boolean) => {
    if (value instanceof Parameter || value instanceof Buffer) {
      places.push({ path, value, aside });
      return;
    }
    if (above.includes(value)) return;
    const contents = contentsOf(value);
    if (!contents) return;
    const isModule = value instanceof Module;
    // An object of another class is nobody's part: it may hold the model itself, and is looked through once.
    const isOther = !isModule && !isCollection(value);
    if (isOther && visited.has(value)) return;
    if (isOther) visited.add(value);
    if (isModule) places.push({ path, value, aside });
    for (const [name, content] of contents)
      visit(content, path ? `${path}.${name}` : name, [...above, value], aside || isOther);
  };
  visit(module, '', [], false);
  const parts = new Set(places.flatMap(({ value, aside }) => (aside ? [] : [value])));
  return checkNames(places.filter(({ value, aside }) => !aside || !parts.has(value)));
}

const isCollection = (value: unknown) =>
  Array.isArray(value) || value instanceof Map || value instanceof Set || isPlainObject(value);

/** Throws where two things have one name, of which a state could hold only one. */
function checkNames(places: readonly Place[]): Place[] {
  const known = new Map<string, unknown>();
  for (const { path, value } of places) {
    const before = known.get(path);
    if (before !== undefined && before !== value)
      throw new ValueError(`[Module] two parts of one model bear the name ${path}; rename a field, or a key of a Map`);
    known.set(path, value);
  }
  return [...places];
}
