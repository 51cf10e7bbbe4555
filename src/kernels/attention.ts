import delta from '../../shaders/attention/delta.wgsl' with { type: 'text' };
import dkdv from '../../shaders/attention/dkdv.wgsl' with { type: 'text' };
import dkdvRows from '../../shaders/attention/dkdvRows.wgsl' with { type: 'text' };
import dq from '../../shaders/attention/dq.wgsl' with { type: 'text' };
import dqRows from '../../shaders/attention/dqRows.wgsl' with { type: 'text' };
import forward from '../../shaders/attention/forward.wgsl' with { type: 'text' };
import forwardRows from '../../shaders/attention/forwardRows.wgsl' with { type: 'text' };
import {
  type BindingSource,
  type DeviceProfile,
  type Dispatch,
  type Family,
  input,
  type Operand,
  output,
  scratch,
} from './kernel.ts';

/**
 * softmax(scale Q Kᵀ + mask) V, with dropout on the weights.
 *
 * Inputs of the forward family: 0 q, 1 k, 2 v, then the mask and the random key (u32[4]), each where it is used.
 * Outputs: 0 O; 1 the log of the sum of exponentials, dense [B, H, L].
 */
export interface AttentionProblem {
  readonly B: number;
  readonly H: number;
  readonly L: number;
  readonly S: number;
  /** At most 128. */
  readonly D: number;
  /** Query i sees keys j ≤ i, as PyTorch's is_causal. */
  readonly causal: boolean;
  readonly scale: number;
  /** Probability; 0: none. Element ((b H + h) L + i) S + j of the random stream decides on weight i, j of head h. */
  readonly dropout: number;
  readonly stream: number;
  /** [B, H, L, D]; the last stride is 1, the others are free, here and below. */
  readonly q: Operand;
  /** [B, H, S, D]. */
  readonly k: Operand;
  /** [B, H, S, D]. */
  readonly v: Operand;
  /** [B, H, L, D]. */
  readonly O: Operand;
  /** Added to the scores: f32 [B, H, L, S], stride 0 where it broadcasts; -1e9 and lower hides a key. */
  readonly mask?: Operand;
}

/**
 * Gradients of attention. Inputs: 0 q, 1 k, 2 v, 3 O, 4 the log of the sum of exponentials, 5 dO, then mask and random key.
 * Output: 0 dQ, dK and dV, each somewhere in it.
 */
export interface AttentionBackwardProblem extends AttentionProblem {
  /** [B, H, L, D]. */
  readonly dO: Operand;
  /** [B, H, L, D]. */
  readonly dQ: Operand;
  /** [B, H, S, D]. */
  readonly dK: Operand;
  /** [B, H, S, D]. */
  readonly dV: Operand;
}

/** Rows that one workgroup takes, in every stage but delta. */
const tile = 32;

export const attentionForward: Family<AttentionProblem> = {
  name: 'attentionForward',
  variants: {
    flash: { unsupported, call: (problem) => forwardCall('flash', forward, problem) },
    rows: { unsupported, call: (problem) => forwardCall('rows', forwardRows, problem) },
  },
  select,
};

export const attentionBackward: Family<AttentionBackwardProblem> = {
  name: 'attentionBackward',
  variants: {
    flash: { unsupported, call: (problem) => backwardCall('flash', { dkdv, dq }, problem) },
    rows: { unsupported, call: (problem) => backwardCall('rows', { dkdv: dkdvRows, dq: dqRows }, problem) },
  },
  select,
};

/** Tiles in workgroup memory on GPUs; none where barriers and workgroup memory are emulated. */
function select(_problem: AttentionProblem, profile: DeviceProfile): string {
  return profile.selection === 'software' ? 'rows' : 'flash';
}

function unsupported(problem: AttentionProblem): string | null {
  const { B, H, L, S, D } = problem;
  if (D > 128) return `heads of ${D} elements: at most 128`;
  if (Math.max(B, H, Math.ceil(Math.max(L, S) / tile)) > 65535) return `[${B}, ${H}, ${L}, ${S}] exceeds the grid`;
  const loose = operands(problem).find(({ operand }) => D > 1 && operand.strides[3] !== 1);
  return loose ? `${loose.name} has stride ${loose.operand.strides[3]} in its last dimension: must be 1` : null;
}

function forwardCall(variant: string, source: string, problem: AttentionProblem) {
  const { B, H, L } = problem;
  const dispatch: Dispatch = {
    kernel: `attentionForward/${variant}`,
    source,
    constants: { ...elements(problem), CAUSAL: problem.causal },
    workgroups: [Math.ceil(L / tile), H, B],
    uniforms: uniforms(problem),
    ...hooks(problem, loads(variant, 'Q', 'K', 'V'), [input(0), input(1), input(2), output(0), output(1)], 3),
  };
  return { dispatches: [dispatch] };
}

function backwardCall(variant: string, sources: { dkdv: string; dq: string }, problem: AttentionBackwardProblem) {
  const { B, H, L, S } = problem;
  const folded = foldsDelta(problem);
  const bindings = [input(0), input(1), input(2), input(5), scratch(0), output(0)];
  const common = { constants: { ...elements(problem), CAUSAL: problem.causal }, uniforms: uniforms(problem) };
  const hooked = hooks(problem, loads(variant, 'Q', 'K', 'V', 'DO'), bindings, 6);
  const first: Dispatch = {
    kernel: `attentionBackward/${variant}/delta`,
    source: delta,
    constants: elements(problem),
    functions: vectors(problem) ? vectorLoads(['O', 'DO']) : {},
    bindings: [input(3), input(4), input(5), scratch(0)],
    workgroups: [Math.ceil(L / 64), H, B],
    uniforms: uniforms(problem),
  };
  const ofQueries: Dispatch = {
    kernel: `attentionBackward/${variant}/dq`,
    source: sources.dq,
    workgroups: [Math.ceil(L / tile), H, B],
    ...common,
    ...(folded ? withDelta(problem, hooked) : hooked),
  };
  const ofKeys: Dispatch = {
    kernel: `attentionBackward/${variant}/dkdv`,
    source: sources.dkdv,
    workgroups: [Math.ceil(S / tile), H, B],
    ...common,
    ...hooked,
  };
  return { dispatches: [...(folded ? [] : [first]), ofQueries, ofKeys], scratch: [B * H * L * 8] };
}

/** Whether dq computes δ itself, and leaves it for dkdv: with a mask or a random key it has no bindings left for O and lse. */
function foldsDelta({ mask, dropout }: AttentionProblem): boolean {
  return !mask && dropout === 0;
}

function withDelta(problem: AttentionProblem, { functions, bindings }: Hooked): Hooked {
  return {
    functions: { ...functions, savedRows },
    bindings: [...bindings, input(3), input(4)],
    declarations: [
      '@group(0) @binding(7) var<storage, read> o: array<Element>;',
      '@group(0) @binding(8) var<storage, read> lse: array<f32>;',
      vectors(problem) ? vectorLoads(['O']).loadO : loadO,
    ].join('\n'),
  };
}

/** Buffers that a shader loads from; the variant without workgroup memory adds to its result in place. */
function loads(variant: string, ...inputs: readonly string[]): readonly string[] {
  return variant === 'rows' ? [...inputs, 'Result'] : inputs;
}

interface NamedOperand {
  readonly name: (typeof names)[number];
  readonly operand: Operand;
}
const names = ['q', 'k', 'v', 'O', 'dO', 'dQ', 'dK', 'dV'] as const;

function operands(problem: AttentionProblem & Partial<AttentionBackwardProblem>): NamedOperand[] {
  return names.flatMap((name) => {
    const operand = problem[name];
    return operand ? [{ name, operand }] : [];
  });
}

/** Whether every row begins at a multiple of four elements, so that buffers can be read as vec4. */
function vectors(problem: AttentionProblem): boolean {
  const aligned = ({ shape, strides, offset }: Operand) =>
    offset % 4 === 0 && strides.slice(0, 3).every((stride, axis) => shape[axis] === 1 || stride % 4 === 0);
  return problem.D % 4 === 0 && operands(problem).every(({ operand }) => aligned(operand));
}

function elements(problem: AttentionProblem) {
  return { D: problem.D, Element: vectors(problem) ? 'vec4<f32>' : 'f32' };
}

function uniforms(problem: AttentionProblem): Record<string, number> {
  const { H, L, S, D, scale, dropout, stream, mask } = problem;
  const result: Record<string, number> = { H, L, S, scale, dropout, stream };
  result.columns = Math.ceil(D / 4);
  result.keepScale = dropout < 1 ? 1 / (1 - dropout) : 0;
  for (const { name, operand } of operands(problem)) {
    result[`${name}Offset`] = operand.offset;
    // A stride along one element is never used; 0 keeps rows aligned whatever it was.
    const [batch, head, row] = operand.strides.map((stride, axis) => (operand.shape[axis] === 1 ? 0 : stride));
    Object.assign(result, { [`${name}Batch`]: batch, [`${name}Head`]: head, [`${name}Row`]: row });
  }
  const [maskBatch = 0, maskHead = 0, maskRow = 0, maskKey = 0] = mask?.strides ?? [];
  return { ...result, maskOffset: mask?.offset ?? 0, maskBatch, maskHead, maskRow, maskKey };
}

interface Hooked {
  readonly functions: Readonly<Record<string, string>>;
  readonly bindings: readonly BindingSource[];
  readonly declarations: string;
}

/** Bindings and hooks of a stage: vec4 access, and after `fixed` bindings those of the mask and of the random key. */
function hooks(
  problem: AttentionProblem,
  loads: readonly string[],
  fixed: readonly BindingSource[],
  firstInput: number,
): Hooked {
  const functions: Record<string, string> = vectors(problem) ? { ...vectorLoads(loads), store: vectorStore } : {};
  const bindings = [...fixed];
  const declarations: string[] = [];
  const bind = (name: string, type: string) => {
    bindings.push(input(firstInput + bindings.length - fixed.length));
    declarations.push(`@group(0) @binding(${bindings.length}) var<storage, read> ${name}: array<${type}>;`);
  };
  if (problem.mask) {
    bind('mask', 'f32');
    functions.addMask = addMask;
  }
  if (problem.dropout > 0) {
    bind('randomKey', 'vec4<u32>');
    declarations.push(problem.S % 4 === 0 ? keepBlock : keepEach);
    functions.dropoutFactors = dropoutFactors;
  }
  return { functions, bindings, declarations: declarations.join('\n') };
}

function vectorLoads(names: readonly string[]): Record<string, string> {
  const text = (name: string) =>
    `fn load${name}(base: u32, column: u32) -> vec4<f32> { return ${name === 'DO' ? 'dO' : name.toLowerCase()}[base / 4u + column]; }`;
  return Object.fromEntries(names.map((name) => [`load${name}`, text(name)]));
}

const vectorStore = 'fn store(base: u32, column: u32, value: vec4<f32>) { result[base / 4u + column] = value; }';

const addMask = /* wgsl */ `fn addMask(scores: vec4<f32>, batch: u32, head: u32, row: u32, key: u32) -> vec4<f32> {
  let base = params.maskOffset + batch * params.maskBatch + head * params.maskHead + key * params.maskKey;
  let rows = base + (row + vec4<u32>(0u, 1u, 2u, 3u)) * params.maskRow;
  return scores + vec4<f32>(mask[rows.x], mask[rows.y], mask[rows.z], mask[rows.w]);
}`;

const dropoutFactors = /* wgsl */ `fn dropoutFactors(batch: u32, head: u32, row: u32, key: u32) -> mat4x4<f32> {
  let first = ((batch * params.H + head) * params.L + row) * params.S + key;
  return transpose(mat4x4<f32>(keep(first), keep(first + params.S), keep(first + 2u * params.S), keep(first + 3u * params.S)));
}`;

/** Factors of four weights that follow one another: each drawn by itself, … */
const keepEach = /* wgsl */ `fn keep(index: u32) -> vec4<f32> {
  let key = randomKey[0];
  let draws = vec4<f32>(
    randomUniform(key, params.stream, index), randomUniform(key, params.stream, index + 1u),
    randomUniform(key, params.stream, index + 2u), randomUniform(key, params.stream, index + 3u),
  );
  return select(vec4<f32>(), vec4<f32>(params.keepScale), draws >= vec4<f32>(params.dropout));
}`;

/** … or, where rows begin at a multiple of four, all from one block of the generator (see philox.wgsl). */
const keepBlock = /* wgsl */ `fn keep(index: u32) -> vec4<f32> {
  let key = randomKey[0];
  let low = key.z + params.stream;
  let words = philox(vec4<u32>(index / 4u, 0u, low, key.w + select(0u, 1u, low < key.z)), key.xy);
  return select(vec4<f32>(), vec4<f32>(params.keepScale), vec4<f32>(words >> vec4<u32>(8u)) * 5.9604644775390625e-8 >= vec4<f32>(params.dropout));
}`;

const loadO = /* wgsl */ `fn loadO(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(o[i], o[i + 1u], o[i + 2u], o[i + 3u]), inside(column));
}`;

/** δ from dO and O, in place of what delta.wgsl left. */
const savedRows = /* wgsl */ `fn savedRows(batch: u32, head: u32, row: u32, leave: bool) -> Saved {
  let base = (batch * params.H + head) * params.L;
  let rows = min(row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.L - 1u));
  let results = params.OOffset + batch * params.OBatch + head * params.OHead + rows * params.ORow;
  let gradients = params.dOOffset + batch * params.dOBatch + head * params.dOHead + rows * params.dORow;
  var delta = vec4<f32>();
  for (var column = 0u; column < params.columns; column++) {
    delta += vec4<f32>(
      dot(loadO(results.x, column), loadDO(gradients.x, column)),
      dot(loadO(results.y, column), loadDO(gradients.y, column)),
      dot(loadO(results.z, column), loadDO(gradients.z, column)),
      dot(loadO(results.w, column), loadDO(gradients.w, column)),
    );
  }
  let saved = Saved(vec4<f32>(lse[base + rows.x], lse[base + rows.y], lse[base + rows.z], lse[base + rows.w]), delta);
  for (var r = 0u; leave && r < min(4u, params.L - min(row, params.L)); r++) {
    statistics[base + row + r] = vec2<f32>(saved.lse[r], saved.delta[r]);
  }
  return saved;
}`;
