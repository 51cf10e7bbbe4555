/**
 * Which tests are part of which run of `npm test`, and why. Two compilers, Tint's and naga's, read each kernel, and either
 * profile picks kernels of its own: kernels and ops are part of all four runs. The engine, which is the same for all kernels,
 * is part of one on either stack. What stands on it needs one, where it has what it is about; a chosen few are part of two. The
 * other engines that users have run a chosen part.
 */

export interface Run {
  /** `worker` is a worker of Deno's. */
  readonly runtime: 'chromium' | 'deno' | 'firefox' | 'node' | 'worker';
  readonly profile: 'gpu' | 'software';
}

export interface Part {
  /** Folders and files of test/, files without `.test.ts`. Of several that lead to a file, the longest counts. */
  readonly tests: readonly string[];
  readonly runs: readonly Run[];
  readonly reason: string;
}

const chromiumGpu: Run = { runtime: 'chromium', profile: 'gpu' };
const chromiumSoftware: Run = { runtime: 'chromium', profile: 'software' };
const denoGpu: Run = { runtime: 'deno', profile: 'gpu' };
const denoSoftware: Run = { runtime: 'deno', profile: 'software' };

/** The longest first: `npm test` starts them in this order. */
export const allRuns: readonly Run[] = [chromiumGpu, chromiumSoftware, denoGpu, denoSoftware];

const firefox: Run = { runtime: 'firefox', profile: 'software' };
const node: Run = { runtime: 'node', profile: 'software' };
const worker: Run = { runtime: 'worker', profile: 'software' };

/** Of these, each runs `chosen` and nothing else. */
export const otherRuns: readonly Run[] = [firefox, node, worker];

export const chosen: Part = {
  tests: [
    'kernels/additiveAttention',
    'kernels/attention',
    'kernels/conv',
    'kernels/crossEntropy',
    'kernels/ctcLoss',
    'kernels/cumsum',
    'kernels/elementwise',
    'kernels/embedding',
    'kernels/gather',
    'kernels/lstm',
    'kernels/matmul',
    'kernels/norm',
    'kernels/pool',
    'kernels/recurrent',
    'kernels/reduce',
    'kernels/resample',
    'kernels/softmax',
    'kernels/sort',
    'kernels/topK',
    'kernels/updates',
    'ops/graphs',
    'runtime/step',
    'runtime/loss',
    'models/trajectory',
    'train/training',
    'io/save',
  ],
  runs: otherRuns,
  reason:
    'engines with a compiler, a driver or an event loop of their own: a case for each kernel (test/kernels/conformance.ts), ' +
    'random graphs, readback, a lost device, whole models, checkpoints and files',
};

export const parts: readonly Part[] = [
  {
    tests: ['kernels', 'ops', 'compile/fusion'],
    runs: allRuns,
    reason: 'each stack compiles and runs kernels in its own way, and each profile picks kernels of its own',
  },
  {
    tests: [
      'graph',
      'compile',
      'device',
      'runtime',
      'insight',
      'support',
      'ops/autograd',
      'ops/checkpoint',
      'ops/define',
    ],
    runs: [denoGpu, chromiumSoftware],
    reason: 'the engine takes kernels as they come: on either stack, and with the kernels of either profile',
  },
  {
    tests: ['kernels/sideSum'],
    runs: [chromiumGpu, denoGpu],
    reason: 'it names its kernels itself, whatever the profile',
  },
  {
    tests: ['kernels/barriers'],
    runs: [chromiumSoftware, denoSoftware],
    reason: 'it names its kernels itself, whatever the profile',
  },
  {
    tests: ['kernels/packed'],
    runs: [denoGpu, chromiumSoftware],
    reason: 'it compares texts: with the kernels of either profile, and compiled in either stack',
  },
  {
    tests: ['runtime/loss', 'device/memory', 'train/recover'],
    runs: [chromiumSoftware, denoSoftware],
    reason: 'a lost device and the memory of one are matters of the stack, whatever the kernels are',
  },
  {
    tests: ['nn', 'optim', 'models'],
    runs: [denoGpu],
    reason: 'made of ops, which have tests of their own: once, with the kernels that most users get',
  },
  {
    tests: ['models/trajectory'],
    runs: [denoGpu, chromiumSoftware],
    reason: 'ten steps of whole models against PyTorch: in either stack, and with the kernels of either profile',
  },
  {
    tests: ['bench/counts'],
    runs: [denoGpu, denoSoftware],
    reason: 'each profile has a budget of its own, which is the same in either stack',
  },
  {
    tests: ['train', 'text', 'io', 'demo', 'bench', 'tools', 'reference'],
    runs: [denoSoftware],
    reason: 'kernels have no part in the results: once, where there are files, processes and a terminal',
  },
  {
    tests: ['core', 'arguments', 'badInput', 'docs', 'imports', 'options', 'readme'],
    runs: [denoSoftware],
    reason: 'kernels have no part in the results: once',
  },
  {
    tests: ['io/save', 'io/safetensors', 'errors', 'demo/chart', 'demo/train'],
    runs: [denoSoftware, chromiumSoftware],
    reason: 'pages have files, advice and a parser of their own, and the job of the demo runs in them, too',
  },
];

/**
 * The part that a file of tests belongs to.
 * @param file its path from the root of the project: `test/ops/matmul.test.ts`
 */
export function partOf(file: string): Part {
  let longest = '';
  let found: Part | undefined;
  for (const part of parts) {
    for (const path of part.tests) {
      if (path.length <= longest.length) continue;
      if (file !== `test/${path}.test.ts` && !file.startsWith(`test/${path}/`)) continue;
      [longest, found] = [path, part];
    }
  }
  if (!found) throw new Error(`${file} is part of no run: say in test/runs.ts which runs it is part of`);
  return found;
}

export const isPartOf = (file: string, { runtime, profile }: Run): boolean => {
  const isHere = (run: Run) => run.runtime === runtime && run.profile === profile;
  if (otherRuns.some(isHere)) return chosen.tests.some((path) => file === `test/${path}.test.ts`);
  return partOf(file).runs.some(isHere);
};
