import { WeftError } from '../core/errors.ts';
import { Recent } from '../core/recent.ts';
import { bindingText } from './bindingText.ts';
import type { Dispatch } from './kernel.ts';
import { libraryOf } from './library.ts';
import { addFields, type Field, paramFields, quotientFile, type TextForm, takeNumbers } from './numbers.ts';

/** A shader made ready for one pipeline. Equal dispatches give equal texts, which browsers use to cache compiled code. */
export interface SpecialisedShader {
  readonly code: string;
  /** `r` (read) or `w` (read_write) for each storage binding, in order: the signature of the bind group layout. */
  readonly access: string;
  /** Fields of `struct Params` in order; every field is one 4-byte word. */
  readonly fields: readonly Field[];
  /** The same kernel with uniforms in place of the extents that are constants in this text; none where there are no such. */
  readonly general?: () => SpecialisedShader;
}

/** Functions that reverse the order of lanes and workgroups, for tests that look for missing barriers. */
export const reversedOrder: Readonly<Record<string, string>> = {
  laneOrder: 'fn laneOrder(local_index: u32, size: u32) -> u32 { return size - 1u - local_index; }',
  groupOrder:
    'fn groupOrder(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>) -> vec3<u32> { return num_workgroups - 1u - workgroup_id; }',
};

/** What was specialised last, by source and settings: the layers of a model differ in nothing but numbers. */
const known = new Recent<Recent<SpecialisedShader>>(512);

/** Turns a `.wgsl` file and its settings into WGSL text. Throws on a constant or function that the shader does not declare. */
export function specialise(marked: Dispatch, overrides: Readonly<Record<string, string>> = {}): SpecialisedShader {
  const { shader, hasExtents } = inForm(marked, overrides, 'constant');
  if (!hasExtents) return shader;
  let general: SpecialisedShader | undefined;
  return {
    ...shader,
    general: () => {
      general ??= inForm(marked, overrides, 'general').shader;
      return general;
    },
  };
}

function inForm(
  marked: Dispatch,
  overrides: Readonly<Record<string, string>>,
  form: TextForm,
): { shader: SpecialisedShader; hasExtents: boolean } {
  const taken = () => paramFields(textOf(marked)).length;
  const { fields: numbers, hasExtents, ...texts } = takeNumbers(marked, taken, form);
  const more = form === 'general' ? { library: [...(marked.library ?? []), quotientFile] } : {};
  const dispatch = { ...marked, ...texts, ...more };
  const { source, constants, functions, declarations, library, bindings, guarded } = dispatch;
  const names = numbers.map(({ name, type }) => [name, type]);
  const settings = JSON.stringify([
    constants,
    functions,
    declarations,
    library,
    dispatch.instead,
    dispatch.without,
    bindings.length,
    guarded,
    overrides,
    names,
  ]);
  const shaders = known.ensure(source, () => new Recent(512));
  const same = shaders.ensure(settings, () => specialised(dispatch, numbers, overrides));
  const shader = numbers.length === 0 ? same : { ...same, fields: [...numbers, ...same.fields.slice(numbers.length)] };
  return { shader, hasExtents };
}

function specialised(
  dispatch: Dispatch,
  numbers: readonly Field[],
  overrides: Readonly<Record<string, string>>,
): SpecialisedShader {
  let code = textOf(dispatch);
  for (const [name, value] of Object.entries(dispatch.constants ?? {}))
    code = setConstant(code, name, value, dispatch.kernel);
  for (const [name, text] of Object.entries({ ...dispatch.functions, ...overrides }))
    code = replaceFunction(code, name, text, dispatch.kernel);
  for (const name of dispatch.without ?? []) code = withoutBinding(code, name, dispatch.kernel);
  if (dispatch.declarations) code = `${dispatch.declarations}\n${code}`;
  if (dispatch.guarded) code = withGuard(code, dispatch.bindings.length + 1);
  code = addFields(hoistDirectives(code), numbers, dispatch.kernel);
  return { code, access: bindingAccess(code, dispatch), fields: paramFields(code) };
}

/** The shader of a dispatch with all that it uses of `shaders/lib/` in front. */
export const textOf = ({ source, library, instead }: Pick<Dispatch, 'source' | 'library' | 'instead'>): string =>
  withLibrary(source, library, instead);

/** The shader with what it uses of `shaders/lib/` in front, and `more` of that, some files `instead` of others. */
export const withLibrary = (
  source: string,
  more?: readonly string[],
  instead?: Readonly<Record<string, string>>,
): string => hoistDirectives([...libraryOf(source, more, instead), source].join('\n'));

const undeclared = (kernel: string, what: string) => new WeftError(`[specialise] ${kernel} declares no ${what}`);

function setConstant(code: string, name: string, value: number | boolean | string, kernel: string): string {
  const pattern = new RegExp(`^(const|alias) ${name}\\b(\\s*:\\s*(\\w+))?\\s*=[^;]*;`, 'm');
  const match = pattern.exec(code);
  if (!match) throw undeclared(kernel, `const or alias ${name}`);
  return code.replace(pattern, () => `${match[1]} ${name}${match[2] ?? ''} = ${literal(value, match[3])};`);
}

/** A WGSL literal: 16 as `16`, or as `16.0` where the constant is declared f32. */
function literal(value: number | boolean | string, type: string | undefined): string {
  if (typeof value !== 'number' || type !== 'f32') return String(value);
  const text = String(Math.fround(value));
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** Leaves out the declaration of a storage binding, in whose place the dispatch has others. */
function withoutBinding(code: string, name: string, kernel: string): string {
  const declaration = new RegExp(
    `^@group\\(0\\)\\s*@binding\\(\\d+\\)\\s*var<storage[^>]*>\\s*${name}\\s*:[^;]*;\\n?`,
    'm',
  );
  if (!declaration.test(code)) throw undeclared(kernel, `binding ${name}`);
  return code.replace(declaration, '');
}

/** Replaces a whole function; its body ends at the matching brace. */
function replaceFunction(code: string, name: string, text: string, kernel: string): string {
  const start = code.search(new RegExp(`^fn ${name}\\(`, 'm'));
  if (start < 0) throw undeclared(kernel, `function ${name}`);
  let depth = 0;
  for (let i = code.indexOf('{', start); i < code.length; i++) {
    if (code[i] === '{') depth++;
    if (code[i] === '}' && --depth === 0) return code.slice(0, start) + text + code.slice(i + 1);
  }
  throw new WeftError(`[specialise] ${kernel}: function ${name} has no end`);
}

/** Directives must come before everything else, those that enable something first. */
function hoistDirectives(code: string): string {
  const enabled = code.match(/^enable [^;]+;/gm) ?? [];
  const silenced = code.match(/^diagnostic\([^;]+;/gm) ?? [];
  const rest = code.replace(/^(enable |diagnostic\()[^;]+;/gm, '');
  return [...new Set([...enabled, ...silenced]), rest].join('\n');
}

/** The kernel, but that it ends at once where the status of the submit is set. */
function withGuard(code: string, binding: number): string {
  const declaration = bindingText(binding, 'read', 'submitStatus', 'array<u32>');
  return `${declaration}\n${code.replace(/^fn main\([^{]*\{/m, (start) => `${start}\n  if (submitStatus[0] != 0u) { return; }`)}`;
}

function bindingAccess(code: string, dispatch: Dispatch): string {
  const access: string[] = [];
  for (const match of code.matchAll(/@group\(0\)\s*@binding\((\d+)\)\s*var<storage,\s*(read|read_write)>/g)) {
    access[Number(match[1]) - 1] = match[2] === 'read' ? 'r' : 'w';
  }
  const given = dispatch.bindings.length + Number(dispatch.guarded ?? false);
  if (access.length !== given) {
    throw new WeftError(
      `[specialise] ${dispatch.kernel} declares ${access.length} storage bindings, the call gives ${given}`,
    );
  }
  return access.join('');
}
