import type { AttentionBackwardProblem, AttentionProblem } from './attention.ts';
import { bindingText } from './bindingText.ts';
import { type BindingSource, type Dispatch, input, type Operand } from './kernel.ts';

interface NamedOperand {
  readonly name: (typeof names)[number];
  readonly operand: Operand;
}
const names = ['q', 'k', 'v', 'O', 'dO', 'dQ', 'dK', 'dV'] as const;

export function operands(problem: AttentionProblem & Partial<AttentionBackwardProblem>): NamedOperand[] {
  return names.flatMap((name) => {
    const operand = problem[name];
    return operand ? [{ name, operand }] : [];
  });
}

/** Whether every row begins at a multiple of four elements, so that buffers can be read as vec4. */
export function vectors(problem: AttentionProblem): boolean {
  const aligned = ({ shape, strides, offset }: Operand) =>
    offset % 4 === 0 && strides.slice(0, 3).every((stride, axis) => shape[axis] === 1 || stride % 4 === 0);
  return problem.D % 4 === 0 && operands(problem).every(({ operand }) => aligned(operand));
}

export function elements(problem: AttentionProblem) {
  return { Element: vectors(problem) ? 'vec4<f32>' : 'f32' };
}

export function uniforms(problem: AttentionProblem): Record<string, number> {
  const { H, L, S, D, scale, dropout, stream, mask } = problem;
  const result: Record<string, number> = { H, L, S, D, scale, dropout, stream };
  result.columns = Math.ceil(D / 4);
  result.blocks = 4;
  result.keepScale = dropout < 1 ? 1 / (1 - dropout) : 0;
  const present = new Map(operands(problem).map(({ name, operand }) => [name, operand]));
  for (const name of names) {
    const { offset, strides, shape } = present.get(name) ?? { offset: 0, strides: [0, 0, 0], shape: [] };
    // A stride along one element is never used; 0 keeps rows aligned whatever it was.
    const [batch, head, row] = strides.map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
    Object.assign(result, { [`${name}Offset`]: offset });
    Object.assign(result, { [`${name}Batch`]: batch, [`${name}Head`]: head, [`${name}Row`]: row });
  }
  const [maskBatch = 0, maskHead = 0, maskRow = 0, maskKey = 0] = mask?.strides ?? [];
  return { ...result, maskOffset: mask?.offset ?? 0, maskBatch, maskHead, maskRow, maskKey };
}

/**
 * The parts by which the attention kernels are specialised: functions that replace those of the shaders, and bindings that
 * these use.
 */
export interface Hooked extends Pick<Dispatch, 'functions' | 'declarations' | 'bindings' | 'library'> {}

/** Bindings and hooks of a stage: vec4 access, and after `fixed` bindings those of the mask and of the random key. */
export function hooks(
  problem: AttentionProblem,
  inputs: readonly string[],
  fixed: readonly BindingSource[],
  firstInput: number,
): Hooked {
  const functions: Record<string, string> = {
    ...rowLoads(problem, [...inputs, 'Result']),
    ...(vectors(problem) && { store: vectorStore }),
  };
  const bindings = [...fixed];
  const declarations: string[] = [];
  const bind = (name: string, type: string) => {
    bindings.push(input(firstInput + bindings.length - fixed.length));
    declarations.push(bindingText(bindings.length, 'read', name, `array<${type}>`));
  };
  if (problem.mask) {
    bind('mask', 'f32');
    functions.addBias = addMask;
  }
  if (problem.dropout > 0) {
    bind('randomKey', 'vec4<u32>');
    declarations.push(problem.S % 4 === 0 ? keepBlock : keepEach);
    functions.dropoutFactors = dropoutFactors;
  }
  return { functions, bindings, declarations: declarations.join('\n') };
}

/** δ computed by dq itself, from two more bindings. */
export function withDelta(problem: AttentionProblem, { functions, bindings }: Hooked): Hooked {
  return {
    functions: { ...functions, ...rowLoads(problem, ['O']), savedRows },
    bindings: [...bindings, input(3), input(4)],
    library: ['attentionStart(O)', 'attentionRow(O)'],
    declarations: [bindingText(7, 'read', 'O', 'array<Element>'), bindingText(8, 'read', 'lse', 'array<f32>')].join(
      '\n',
    ),
  };
}

/** Where four lanes make a workgroup, each loads one row of four of what all of them read, and shows it to the others. */
export function shared(
  hooked: Hooked,
  { quads, wide }: { readonly quads: boolean; readonly wide: boolean },
  names: readonly string[],
): Hooked {
  if (!quads) return hooked;
  const loads = names.map((name) => [
    `other${name}`,
    `fn other${name}(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  let own = load${name}(at.x, column);
  return mat4x4<f32>(quadBroadcast(own, 0u), quadBroadcast(own, 1u), quadBroadcast(own, 2u), quadBroadcast(own, 3u));
}`,
  ]);
  return {
    ...hooked,
    functions: { ...hooked.functions, otherPlaces, ...(wide && { storeSum, anyOfTeam }), ...Object.fromEntries(loads) },
    // Where lanes part ways (see attentionWide.wgsl), those of a quad stay together, which Tint can't prove.
    declarations: `enable subgroups;\ndiagnostic(off, subgroup_uniformity);\n${hooked.declarations}\n${quadMember}`,
  };
}

/** Where rows are aligned, functions that load four elements at once. */
export function rowLoads(problem: AttentionProblem, names: readonly string[]): Record<string, string> {
  if (!vectors(problem)) return {};
  const text = (name: string) =>
    `fn load${name}(base: u32, column: u32) -> vec4<f32> { return ${buffers[name] ?? name.toLowerCase()}[(base >> 2u) + column]; }`;
  return Object.fromEntries(names.map((name) => [`load${name}`, text(name)]));
}

const buffers: Readonly<Record<string, string>> = { O: 'O', DO: 'dO' };

const vectorStore = 'fn store(base: u32, column: u32, value: vec4<f32>) { result[(base >> 2u) + column] = value; }';

const addMask = /* wgsl */ `fn addBias(scores: vec4<f32>, batch: u32, head: u32, row: u32, key: u32) -> vec4<f32> {
  let base = params.maskOffset + batch * params.maskBatch + head * params.maskHead + key * params.maskKey;
  let rows = base + (row + vec4<u32>(0u, 1u, 2u, 3u)) * params.maskRow;
  let own = vec4<f32>(mask[rows.x], mask[rows.y], mask[rows.z], mask[rows.w]);
  let masked = scores + own;
  return select(masked, vec4<f32>(HIDDEN), (masked < vec4<f32>(-1e8)) | (own < vec4<f32>(-1e8)));
}`;

const dropoutFactors = /* wgsl */ `fn dropoutFactors(batch: u32, head: u32, row: u32, key: u32) -> mat4x4<f32> {
  let first = ((batch * params.H + head) * params.L + row) * params.S + key;
  return transpose(mat4x4<f32>(keep(first), keep(first + params.S), keep(first + 2u * params.S), keep(first + 3u * params.S)));
}`;

/** Factors of four weights that follow one another: each drawn by itself, … */
const keepEach = /* wgsl */ `fn keep(index: u32) -> vec4<f32> {
  let key = randomKey[0];
  let draws = vec4<f32>(
    unit(randomWord(key, params.stream, index)), unit(randomWord(key, params.stream, index + 1u)),
    unit(randomWord(key, params.stream, index + 2u)), unit(randomWord(key, params.stream, index + 3u)),
  );
  return select(vec4<f32>(), vec4<f32>(params.keepScale), draws >= vec4<f32>(params.dropout));
}`;

/** … or, where rows begin at a multiple of four, all from one block of the generator (see philox.wgsl). */
const keepBlock = /* wgsl */ `fn keep(index: u32) -> vec4<f32> {
  let draws = unit4(randomBlock(randomKey[0], params.stream, index / 4u));
  return select(vec4<f32>(), vec4<f32>(params.keepScale), draws >= vec4<f32>(params.dropout));
}`;

/** δ from dO and O, in place of what delta.wgsl left. */
const savedRows = /* wgsl */ `fn savedRows(batch: u32, head: u32, row: u32, leave: bool) -> Saved {
  let statistic = (batch * params.H + head) * params.L + row;
  let results = startO(batch, head) + row * params.ORow;
  let gradients = startDO(batch, head) + row * params.dORow;
  var saved: Saved;
  for (var r = 0u; r < min(4u, params.L - min(row, params.L)); r++) {
    var delta = vec4<f32>();
    for (var column = 0u; column < params.columns; column++) {
      delta += loadO(results + r * params.ORow, column) * loadDO(gradients + r * params.dORow, column);
    }
    saved.lse[r] = lse[statistic + r];
    saved.delta[r] = dot(delta, vec4<f32>(1.0));
    if (leave) { statistics[statistic + r] = vec2<f32>(saved.lse[r], saved.delta[r]); }
  }
  return saved;
}`;

const otherPlaces = /* wgsl */ `fn otherPlaces(base: u32, row: u32, stride: u32, bounds: Bounds, lane: u32) -> vec4<u32> {
  return vec4<u32>(base + clamp(row + quadMember(lane), bounds.first, bounds.last) * stride);
}`;

const anyOfTeam = /* wgsl */ `fn anyOfTeam(tainted: bool) -> bool {
  let own = u32(tainted);
  return (quadBroadcast(own, 0u) | quadBroadcast(own, 1u) | quadBroadcast(own, 2u) | quadBroadcast(own, 3u)) != 0u;
}`;

/** The same row by row: less text takes such a compiler less time, and its private memory costs no more than other memory. */
const storeSum = /* wgsl */ `fn storeSum(atA: vec4<u32>, atB: vec4<u32>, column: u32, sum: Sum, live: u32) {
  var rows = array<vec4<f32>, 8>(sum.a[0], sum.a[1], sum.a[2], sum.a[3], sum.b[0], sum.b[1], sum.b[2], sum.b[3]);
  var keep = array<vec4<f32>, 2>(sum.keepA, sum.keepB);
  var at = array<vec4<u32>, 2>(atA, atB);
  for (var r = 0u; r < live; r++) {
    let place = at[r / 4u][r % 4u];
    var row = rows[r];
    if (!sum.isFirst) { row += keep[r / 4u][r % 4u] * loadResult(place, column); }
    store(place, column, row);
  }
}`;

/** The place of a lane among the four that see each other, however the device numbers them. */
const quadMember = /* wgsl */ `fn quadMember(lane: u32) -> u32 {
  let places = vec3<bool>(quadBroadcast(lane, 1u) == lane, quadBroadcast(lane, 2u) == lane, quadBroadcast(lane, 3u) == lane);
  return dot(select(vec3<u32>(), vec3<u32>(1u, 2u, 3u), places), vec3<u32>(1u));
}`;
