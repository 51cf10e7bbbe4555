import { type Dispatch, inout, type KernelCall } from '../../src/kernels/kernel.ts';
import { textOf } from '../../src/kernels/specialise.ts';
import type { Output } from './kernels.ts';

/**
 * A call whose kernels count the turns of their loops as loopLimit.ts says drivers do: one for each time around, and one for
 * finding the end. Each dispatch has the most that an invocation took in a further output, of one word, after the given
 * outputs; a further input, of a zero, stands after the given inputs.
 */
export function counting(
  { dispatches, ...call }: KernelCall,
  inputs: readonly unknown[],
  outputs: readonly Output[],
): { call: KernelCall; inputs: Uint32Array<ArrayBuffer>[]; outputs: Output[] } {
  return {
    call: {
      ...call,
      dispatches: dispatches.map((dispatch, d) => counted(dispatch, inputs.length + d, outputs.length + d)),
    },
    inputs: dispatches.map(() => new Uint32Array(1)),
    outputs: dispatches.map(() => ({ dtype: 'u32', length: 1 })),
  };
}

function counted(dispatch: Dispatch, input: number, output: number): Dispatch {
  const functions = Object.entries(dispatch.functions ?? {}).map(([name, text]) => [name, withTurns(text)]);
  const binding = dispatch.bindings.length + 1;
  return {
    ...dispatch,
    source: inside(withTurns(textOf(dispatch))),
    library: [],
    functions: Object.fromEntries(functions),
    declarations: `var<private> ownTurns: u32;
@group(0) @binding(${binding}) var<storage, read_write> mostTurns: array<atomic<u32>>;
${withTurns(dispatch.declarations ?? '')}`,
    bindings: [...dispatch.bindings, inout(input, output)],
  };
}

/** The rounds of Philox, ten in a constant loop, count nothing: compilers unroll them. */
const loops = /\b(for|while) \((?!var round = 0u; round < 10u;)/g;

/** Text whose loops add to `ownTurns`. */
function withTurns(text: string): string {
  const code = text.replace(/\/\/.*$/gm, '');
  let result = '';
  let done = 0;
  for (const match of code.matchAll(loops)) {
    let depth = 0;
    let at = match.index + match[0].length - 1;
    do {
      if (code[at] === '(') depth++;
      if (code[at] === ')') depth--;
      at++;
    } while (depth > 0);
    const body = code.indexOf('{', at) + 1;
    result += `${code.slice(done, match.index)}ownTurns++; ${code.slice(match.index, body)} ownTurns++; `;
    done = body;
  }
  return result + code.slice(done);
}

/** The entry point inside of one that writes the turns down, wherever it returns. */
function inside(source: string): string {
  const entry = /@compute @workgroup_size\(([^)]*)\)\s*fn main\(((?:[^()]|\([^()]*\))*)\)\s*\{/;
  const [text, size, parameters] = entry.exec(source) ?? [];
  if (!text || !parameters) throw new Error('the shader has no entry point of the usual form');
  const plain = parameters.replace(/@builtin\(\w+\) /g, '');
  const names = [...plain.matchAll(/(\w+): /g)].map(([, name]) => name);
  const whole = source.replace(text, () => `fn whole(${plain}) {`);
  return `${whole}
@compute @workgroup_size(${size})
fn main(${parameters}) {
  whole(${names.join(', ')});
  atomicMax(&mostTurns[0], ownTurns);
}
`;
}
