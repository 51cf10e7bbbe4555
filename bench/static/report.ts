/**
 * Reads what the Vulkan layer has reported of pipelines: the driver's statistics, and from its intermediate code (NIR) and
 * assembly the instructions of the loop that does the arithmetic, with upper bounds of the share of the GPU's peak.
 *
 * The model: a compute unit does 64 multiply-adds, moves 128 bytes from or to workgroup memory and 64 bytes from or to the first
 * cache in a clock. RDNA has two SIMDs in it, which take two clocks for an instruction of 64 lanes; GCN four, which take four;
 * special functions and integer products take four times as long, scalar instructions run beside. Useful are multiply-adds,
 * and half of each other float instruction. `issue` is useful work over all vector instructions; `lds` and `cache` are over the
 * bytes moved, each lane counted, so broadcasts too; `latency`: a wave alone, in order, waits 64 clocks for workgroup memory
 * and 250 to 300 for memory, and as many waves as registers and workgroup memory let in share a SIMD: the roughest of them,
 * to rank with. The bound is the least of them. Bank conflicts, barriers, the tails of a grid and the bandwidth behind the
 * first cache are left out: real figures are lower. Both sides of a branch count, but of an alternative that a whole wave
 * takes only the longer side.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Row } from './compare.ts';

/** What a report is about. */
export interface Entry {
  /** The number that the files of its WGSL and of the report bear. */
  readonly file: number;
  readonly work: string;
  readonly kernel: string;
  /** Of the largest of its dispatches, and how many those are. */
  workgroups: number;
  uses: number;
}

export interface Index {
  readonly adapter: string;
  readonly entries: readonly Entry[];
}

/**
 * Of a compute unit, all of which do 64 multiply-adds a clock: its SIMDs, the lanes that the driver counts as one wave, and
 * bytes a clock of workgroup memory, of the first cache, and of memory; clocks until a value is there; units of the GPU.
 */
interface Machine {
  readonly simds: number;
  readonly counted: number;
  readonly lds: number;
  readonly cache: number;
  readonly latency: { readonly lds: number; readonly vmem: number; readonly smem: number };
  readonly memory: number;
  readonly units: number;
}

const gcn = { simds: 4, counted: 64, lds: 128, cache: 64, latency: { lds: 64, vmem: 300, smem: 100 } };
const rdna = { simds: 2, counted: 32, lds: 128, cache: 64, latency: { lds: 64, vmem: 250, smem: 60 } };
const navi21: Machine = { ...rdna, memory: 2.9, units: 80 };
const machines: Readonly<Record<string, Machine>> = {
  vega10: { ...gcn, memory: 5, units: 64 },
  navi14: { ...rdna, memory: 5, units: 24 },
  navi21,
  gfx1100: { ...rdna, memory: 4.3, units: 96 },
  navi31: { ...rdna, memory: 4.3, units: 96 },
};

/** Kernels that arithmetic bounds; memory bounds the others. */
const arithmetic = /^(matmul\/(?!gemv|pad$|splitK\/sum)|attention\w+\/(?!.*delta)|recurrent(Forward|Backward)\/)/;

/** What instructions are, by the first pattern that fits. */
const kinds: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['barrier', /^s_barrier/],
  ['wait', /^s_wait/],
  ['smem', /^s_(buffer_)?load/],
  ['salu', /^s_/],
  ['scratch', /^scratch_/],
  ['load', /^(buffer|global|flat)_load/],
  ['store', /^(buffer|global|flat)_/],
  ['ldsRead', /^ds_(read|load)/],
  ['ldsWrite', /^ds_/],
  ['fma', /^v_(dual_)?(pk_)?(fma|fmac|fmaak|fmamk|mad|mac|dot)\w*f(32|16)/],
  ['special', /^v_(exp|log|rcp|rsq|sqrt|sin|cos)_/],
  ['product', /^v_mul_(lo|hi)_/],
  ['float', /^v_(add|sub|subrev|mul|max|min|max3|min3|med3)_f/],
  ['clamp', /^v_(min|med3|max)\w*_[ui]/],
  ['compare', /^v_(cmp|cndmask)/],
  ['address', /^v_(add|sub|subrev|addc|lshl|lshr|ashr|and|or|xor|bfe|bfi|mul_u32|mul_i32|mad_[ui])/],
  ['move', /^v_/],
];
const kindOf = (text: string) => kinds.find(([, pattern]) => pattern.test(text))?.[0] ?? 'other';

/** Words of four bytes that an instruction moves for each lane. */
function words(text: string): number {
  const [, quads, bits] = /^\w+?(?:dwordx(\d)|_b(\d+))?(?:\s|$)/.exec(text) ?? [];
  return Number(quads ?? Number(bits ?? 32) / 32) * (/^ds_\w+2(addr)?_/.test(text) ? 2 : 1);
}

/** Parts of a report by title; the first, without one, holds the statistics. */
function partsOf(text: string) {
  const [head = '', ...rest] = text.split(/^== /m);
  const titled = rest.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]);
  const parts: Record<string, string> = Object.fromEntries(titled);
  const statistics: Record<string, string> = Object.fromEntries(head.split('\n').map((line) => line.split('\t')));
  return { statistics, nir: parts['NIR Shader(s)'] ?? '', assembly: parts.Assembly ?? '' };
}

/**
 * Loops of the driver's NIR in order of their beginning: how often one runs where its variable starts from a constant, or
 * at another place for each lane (then for the first), and ends at a constant; else null.
 */
function turnsOf(nir: string): (number | null)[] {
  const lines = nir.split('\n');
  const names = (text: string): string[] => text.match(/(?:ssa_|%)\d+/g) ?? [];
  const definitions = new Map<string, string>();
  const divergent = new Set<string>();
  // By loop: the conditions under which it breaks.
  const exits: string[][] = [];
  const open: { indent: number; own: string[] }[] = [];
  lines.forEach((line, at) => {
    const [, name, text = ''] = /((?:ssa_|%)\d+) = (.*)/.exec(line) ?? [];
    if (name) definitions.set(name, text);
    if (name && /\bdiv\b/.test(line)) divergent.add(name);
    if (/^\s*(\w+ )?loop \{/.test(line)) {
      const own: string[] = [];
      exits.push(own);
      open.push({ indent: line.search(/\S/), own });
    }
    const breaks = /^\s*if /.test(line) && lines.slice(at, at + 5).some((each) => each.trim() === 'break');
    if (breaks) open.at(-1)?.own.push(...names(line).slice(0, 1));
    if (line.trim() === '}' && line.search(/\S/) === open.at(-1)?.indent) open.pop();
  });
  const define = (name = '') => definitions.get(name) ?? '';
  const constant = (name = '') => Number(/load_const \((0x[0-9a-f]+)/.exec(define(name))?.[1] ?? Number.NaN);
  // A value, and what it is made of where it is made by one of these operations.
  const parts = (name: string, operations: RegExp) => [
    name,
    ...(operations.test(define(name)) ? names(define(name)) : []),
  ];
  const turns = (exit: string) => {
    if (!/^[ui](ge|lt)/.test(define(exit))) return Number.NaN;
    const sides = names(define(exit));
    const variable = sides.flatMap((name) => parts(name, /^iadd/)).find((name) => define(name).startsWith('phi'));
    const [start, next] = names(define(variable));
    const from = divergent.has(start ?? '') ? 0 : constant(start);
    const to = sides
      .flatMap((name) => parts(name, /^umin/))
      .map(constant)
      .find((value) => value >= 0);
    const step = constant(names(define(next)).find((name) => !Number.isNaN(constant(name))));
    return /^iadd/.test(define(next)) ? Math.ceil(((to ?? Number.NaN) - from) / step) : Number.NaN;
  };
  const ofLoop = (own: string[]) => own.flatMap((exit) => parts(exit, /^ior/)).map(turns);
  return exits.map((own) => ofLoop(own).find((count) => count >= 1) ?? null);
}

interface Span {
  readonly first: number;
  readonly last: number;
}

interface Loop extends Span {
  /** How often it runs, where that is known. */
  readonly turns: number | null;
}

interface Program {
  readonly instructions: readonly string[];
  /** The loops that jumps back make, in order of their beginning. */
  readonly spans: readonly Span[];
  /** By where it begins, the end of the alternative that a wave leaves out: the shorter one where all lanes go the same way. */
  readonly skips: ReadonlyMap<number, number>;
}

function programOf(assembly: string): Program {
  const instructions: string[] = [];
  const labels = new Map<string, number>();
  for (const line of assembly.split('\n')) {
    const text = (line.split(';')[0] as string).trim();
    const label = /^(BB\d+):/.exec(text)?.[1];
    if (label) labels.set(label, instructions.length);
    else if (text) instructions.push(text);
  }
  const ends = new Map<number, number>();
  const skips = new Map<number, number>();
  const targetOf = (text = '') => labels.get(/^s_c?branch\S* (BB\d+)/.exec(text)?.[1] ?? '');
  for (const [at, text] of instructions.entries()) {
    const other = targetOf(text);
    if (other === undefined) continue;
    if (other <= at) ends.set(other, at);
    const jump = instructions[other - 1] ?? '';
    const end = /^s_branch/.test(jump) ? targetOf(jump) : undefined;
    if (!/^s_cbranch_scc/.test(text) || end === undefined || end <= other) continue;
    if (end - other > other - at) skips.set(at + 1, other);
    else skips.set(other, end);
  }
  const spans = [...ends].map(([first, last]) => ({ first, last })).sort((a, b) => a.first - b.first);
  return { instructions, spans, skips };
}

const isWithin = (inner: Span, outer: Span) =>
  inner !== outer && inner.first >= outer.first && inner.last <= outer.last;

/** The instructions of a span in the order in which a wave runs them: `loops`, those within it, by their turns. */
function trace(program: Program, { first, last }: Span, loops: readonly Loop[]): string[] {
  const run: string[] = [];
  for (let at = first; at <= last; at++) {
    const loop = loops.find((each) => each.first === at && each.last <= last);
    const end = program.skips.get(at);
    if (loop) {
      const inner = loops.filter((each) => isWithin(each, loop));
      const turn = trace(program, loop, inner);
      for (let i = 0; i < (loop.turns ?? 1); i++) run.push(...turn);
      at = loop.last;
    } else if (end !== undefined && end <= last) at = end - 1;
    else run.push(program.instructions[at] as string);
  }
  return run;
}

type Sizes = Record<number, number>;

/** What a wave runs in a stretch of code, how long its SIMD is busy with that, and how long it takes a wave that is alone. */
function costOf(run: readonly string[], machine: Machine, lanes: number) {
  const counts: Record<string, number> = {};
  const count = (kind: string) => counts[kind] ?? 0;
  const moved: Record<'ldsRead' | 'ldsWrite' | 'load' | 'store', Sizes> = {
    ldsRead: {},
    ldsWrite: {},
    load: {},
    store: {},
  };
  const bytes = { lds: 0, global: 0 };
  const clocks = (lanes * machine.simds) / 64;
  const pending: Record<'vm' | 'lgkm', number[]> = { vm: [], lgkm: [] };
  let [valu, busy, time] = [0, 0, 0];
  for (const text of run) {
    const kind = kindOf(text);
    counts[kind] = count(kind) + 1;
    const own = text.startsWith('v_') ? clocks * (kind === 'special' || kind === 'product' ? 4 : 1) : 0;
    if (own) valu++;
    busy += own;
    time += Math.max(1, own);
    if (kind in moved) {
      const size = 4 * words(text);
      const sizes = moved[kind as keyof typeof moved];
      sizes[8 * size] = (sizes[8 * size] ?? 0) + 1;
      bytes[kind.startsWith('lds') ? 'lds' : 'global'] += size;
      if (kind === 'load') pending.vm.push(time + machine.latency.vmem);
      if (kind.startsWith('lds')) pending.lgkm.push(time + machine.latency.lds + (size * lanes) / machine.lds);
    }
    if (kind === 'smem') pending.lgkm.push(time + machine.latency.smem);
    for (const [name, queue] of Object.entries(pending)) {
      const left = new RegExp(`^s_waitcnt.*\\b${name}cnt\\((\\d+)\\)`).exec(text)?.[1];
      while (left !== undefined && queue.length > Number(left)) time = Math.max(time, queue.shift() as number);
    }
  }
  return { count, valu, moved, bytes, busy, time };
}

const percent = (x: number) => (Number.isFinite(x) ? Math.round(100 * x) : Number.NaN);

/** All figures of a kernel, by the name of their column. */
function measure(machine: Machine, { work, kernel, workgroups, uses }: Entry, text: string, code: string) {
  const { statistics, nir, assembly } = partsOf(text);
  const statistic = (name: string) => Number(statistics[name] ?? 0);
  const lanes = statistic('Subgroup size');
  const threads = Number(/workgroup.size: (\d+)/.exec(nir)?.[1]);
  const waves = statistic('Subgroups per SIMD') / (lanes / machine.counted);
  const program = programOf(assembly);
  const turns = turnsOf(nir);
  const areKnown = turns.length === program.spans.length;
  const loops = program.spans.map((span, i): Loop => ({ ...span, turns: (areKnown && turns[i]) || null }));
  const costs = (span: Span) =>
    costOf(
      trace(
        program,
        span,
        loops.filter((each) => isWithin(each, span)),
      ),
      machine,
      lanes,
    );

  // Where the arithmetic is: the loop of unknown length that has most of it, or else all of the program.
  const whole = costs({ first: 0, last: program.instructions.length - 1 });
  const busiest = loops
    .filter((loop) => loop.turns === null)
    .map(costs)
    .sort((a, b) => b.count('fma') - a.count('fma'))[0];
  const isArithmetic = arithmetic.test(kernel);
  const isLoop = isArithmetic && busiest !== undefined && busiest.count('fma') > whole.count('fma') / 3;
  const { count, valu, moved, bytes, busy, time } = isLoop ? busiest : whole;

  // Clocks of a compute unit: what a wave can't do without at the peak that bounds it, and all the rest that it does.
  const used = threads / (Math.ceil(threads / lanes) * lanes);
  const useful = count('fma') + count('float') / 2;
  const least = isArithmetic ? (used * useful * lanes) / 64 : (bytes.global * lanes) / machine.memory;
  const bounds = {
    issue: (least * machine.simds) / busy,
    lds: (least * machine.lds) / (bytes.lds * lanes),
    cache: (least * machine.cache) / (bytes.global * lanes),
    latency: (least * machine.simds * waves) / time,
  };
  const widths = (sizes: Sizes) => Object.entries(sizes).map(([bits, times]) => `${times}x${bits}`);
  const isTransposed = (name: string) => (code.includes(`const ${name}_TRANSPOSED: bool = true`) ? 'T' : 'N');
  return {
    ...{ work, kernel: kernel.replace(/ \[.*/, ''), shape: /\[.*\]/.exec(kernel)?.[0] ?? '' },
    layout: code.includes('const A_TRANSPOSED') ? isTransposed('A') + isTransposed('B') : '',
    ...{ uses, workgroups, 'units busy %': percent(Math.min(1, workgroups / machine.units)), threads, lanes },
    registers: statistic('VGPRs'),
    spills: statistic('Spilled VGPRs') + statistic('Spilled SGPRs'),
    'scratch bytes': statistic('Scratch size'),
    'workgroup bytes': statistic('LDS size'),
    ...{ waves, instructions: statistic('Instructions'), clocks: Math.round(time) },
    region: (isLoop ? 'loop' : 'all') + (areKnown ? '' : '?'),
    ...{ fma: count('fma'), valu, float: count('float'), special: count('special') },
    ...{ 'integer products': count('product'), clamps: count('clamp'), compares: count('compare') },
    ...{ addresses: count('address'), moves: count('move'), scalar: count('salu'), waits: count('wait') },
    ...{ barriers: count('barrier'), scratch: count('scratch') },
    ...{ 'workgroup reads': widths(moved.ldsRead).join(' '), 'workgroup writes': widths(moved.ldsWrite).join(' ') },
    ...{ loads: widths(moved.load).join(' '), stores: widths(moved.store).join(' ') },
    of: isArithmetic ? 'fma' : 'memory',
    ...{ 'issue %': percent(bounds.issue), 'lds %': percent(bounds.lds) },
    ...{ 'cache %': percent(bounds.cache), 'latency %': percent(bounds.latency) },
    bound: percent(Math.min(1, ...Object.values(bounds).filter((bound) => !Number.isNaN(bound)))),
  };
}

/** All kernels of the reports in a folder: a table of all figures, and what is kept of them. */
export async function reportOf(folder: string, gpu: string): Promise<{ adapter: string; all: string; rows: Row[] }> {
  const read = (name: string) => readFile(join(folder, name), 'utf8');
  const { adapter, entries }: Index = JSON.parse(await read('index.json'));
  const machine = machines[gpu] ?? navi21;
  const figures = [];
  for (const entry of entries) {
    figures.push(measure(machine, entry, await read(`${entry.file}.txt`), await read(`${entry.file}.wgsl`)));
  }
  const lines = [Object.keys(figures[0] ?? {}), ...figures.map((each) => Object.values(each))];
  const rows = figures.map(({ work, kernel, layout, registers, spills, waves, of, bound }) => ({
    ...{ work, kernel, layout, registers, spills, waves, of, bound },
  }));
  return { adapter, all: `${lines.map((line) => line.join('\t')).join('\n')}\n`, rows };
}
