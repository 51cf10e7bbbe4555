/** A storage binding that a kernel has beyond those of its shader: how it is used, and its WGSL name and type. */
export type Bound = readonly [access: 'read' | 'read_write', name: string, type: string];

/** The declarations of storage bindings, from number `first` on: the one place where such text is made. */
export const bindingTexts = (first: number, bound: readonly Bound[]): string[] =>
  bound.map(([access, name, type], i) => `@group(0) @binding(${first + i}) var<storage, ${access}> ${name}: ${type};`);

/** The declaration of one storage binding. */
export const bindingText = (binding: number, ...bound: Bound): string => bindingTexts(binding, [bound]).join('');
