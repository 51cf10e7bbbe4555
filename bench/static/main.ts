/** `npm run static`: what AMD's compiler makes of the kernels, without a GPU. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { complain, say } from '../../demo/console.ts';
import { runProgram } from '../../tools/commandLine.mjs';
import { asTable, fromTable, worse } from './compare.ts';
import { reportOf } from './report.ts';

const usage = `npm run static -- [--gpu NAME] [--only PATTERN] [--reports DIR] [--save]

Has Mesa's driver for AMD GPUs compile weft's kernels for a GPU that is not there, and prints registers, spills and an upper
bound of the share of the GPU's peak that the code could reach. Then says what got worse since the table in bench/results/.
Half a minute. It needs Linux, a C compiler, the Vulkan loader's headers and Mesa's drivers (Debian: gcc, libvulkan-dev,
mesa-vulkan-drivers). Versions of Mesa differ a lot: VK_DRIVER_FILES names the manifest, radeon….json, of another one.

  --gpu NAME      navi21 (RDNA 2, the default), navi31 (RDNA 3), navi14 (RDNA 1), vega10 (GCN 5)
  --only PATTERN  only works whose name ('matmul NN', 'attention', 'lstm', …) the regular expression matches
  --reports DIR   keeps each kernel's WGSL, intermediate code, assembly and all figures (all.tsv) there
  --save          puts the table into bench/results/`;

await runProgram(
  {
    ...{ command: 'npm run static', usage, say, complain },
    options: {
      ...{ gpu: { type: 'string' }, only: { type: 'string' } },
      ...{ reports: { type: 'string' }, save: { type: 'boolean' } },
    },
  },
  async ({ gpu = 'navi21', only = '', reports, save = false }) => {
    if (save && only) throw new Error('--save keeps a whole table, and --only leaves works out');
    const scratch = await mkdtemp(join(tmpdir(), 'weft-static-'));
    try {
      const folder = reports ? resolve(reports) : join(scratch, 'reports');
      await mkdir(folder, { recursive: true });
      await build(scratch);
      compileWorks(scratch, folder, gpu, only);
      await show(folder, gpu, only, save);
    } finally {
      await rm(scratch, { recursive: true });
    }
  },
);
process.exit();

/** The Vulkan layer that answers for what a GPU that is not there lacks, and writes the reports. */
async function build(scratch: string): Promise<void> {
  try {
    const source = join(import.meta.dirname, 'layer.c');
    execFileSync('cc', ['-O1', '-Wall', '-shared', '-fPIC', '-o', join(scratch, 'layer.so'), source], {
      stdio: 'pipe',
    });
  } catch (error) {
    const needs = 'a C compiler and the headers of the Vulkan loader (Debian: `apt-get install gcc libvulkan-dev`)';
    throw new Error(`the Vulkan layer can't be built: it needs ${needs}\n${(error as Error).message}`);
  }
  const layer = {
    ...{ name: 'VK_LAYER_reports', type: 'GLOBAL', library_path: './layer.so', api_version: '1.3.0' },
    ...{ implementation_version: '1', description: 'Reports of compute pipelines, without a GPU' },
  };
  await writeFile(join(scratch, 'layer.json'), JSON.stringify({ file_format_version: '1.2.0', layer }));
}

/** In a process of its own: Vulkan looks at its surroundings once. */
function compileWorks(scratch: string, folder: string, gpu: string, only: string): void {
  const { VK_ICD_FILENAMES: _, ...environment } = process.env;
  const { status } = spawnSync(process.execPath, ['run', '-A', join(import.meta.dirname, 'compile.ts'), folder, only], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...environment,
      ...{ XDG_RUNTIME_DIR: scratch, MESA_SHADER_CACHE_DISABLE: 'true', RADV_FORCE_FAMILY: gpu },
      ...{ VK_LOADER_DRIVERS_SELECT: 'radeon*', VK_LAYER_PATH: scratch, VK_INSTANCE_LAYERS: 'VK_LAYER_reports' },
    },
  });
  if (status !== 0)
    throw new Error(`no kernels were compiled for ${gpu}: is Mesa's RADV installed, and is this a GPU of AMD?`);
}

async function show(folder: string, gpu: string, only: string, save: boolean): Promise<void> {
  const { adapter, all, rows } = await reportOf(folder, gpu);
  if (rows.length === 0) throw new Error(`--only: no work matches ${only}`);
  await writeFile(join(folder, 'all.tsv'), all);
  const [, family = gpu, mesa = ''] = /^amd (\S+).*Mesa (\d+\.\d+)/.exec(adapter) ?? [];
  const file = join(import.meta.dirname, '../results', `static-${family}-mesa-${mesa}.tsv`);
  say(`${adapter}\n`);
  say(asTable(rows));
  if (existsSync(file)) {
    const kept = fromTable(await readFile(file, 'utf8'));
    const notes = worse(kept, rows, only === '');
    say(
      notes.length === 0
        ? '\nNothing is worse than the table in bench/results/.'
        : `\nWorse than before:\n${notes.join('\n')}`,
    );
    if (notes.length > 0 && !save) process.exitCode = 1;
  } else say(`\nThere is no table of ${family}, Mesa ${mesa}, in bench/results/ yet: --save makes it.`);
  if (save) await writeFile(file, asTable(rows, '\t'));
}
