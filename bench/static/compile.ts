/**
 * deno run -A compile.ts FOLDER [PATTERN]: has weft make the pipelines of the works whose name fits PATTERN, through Dawn as
 * Chrome would, one at a time, so that the Vulkan layer (layer.c) knows where its report on each goes. Writes to FOLDER
 * the WGSL of each pipeline and the report on it, numbered, and index.json. Values, times and `tune` mean nothing here: nothing runs.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { create, globals } from 'webgpu';
import { complain } from '../../demo/console.ts';
import { compile, init } from '../../src/index.ts';
import type { Entry, Index } from './report.ts';
import { works } from './works.ts';

Object.assign(globalThis, globals);

const [folder = '.', pattern = ''] = process.argv.slice(2);
const device = await init({ gpu: create([]), profile: 'gpu' });

const entries = new Map<string, Entry>();
const codes = new WeakMap<GPUShaderModule, string>();
const { gpu } = device;
const createShaderModule = gpu.createShaderModule.bind(gpu);
gpu.createShaderModule = (descriptor) => {
  const module = createShaderModule(descriptor);
  codes.set(module, descriptor.code);
  return module;
};
let current = '';
// Not in the background, where it could not be told which pipeline a report is on. Others, of random draws, are made at once and
// are not reported.
gpu.createComputePipelineAsync = async (descriptor) => {
  const code = codes.get(descriptor.compute.module) as string;
  const file = entries.size;
  entries.set(code, { file, work: current, kernel: descriptor.label ?? '', workgroups: 0, uses: 0 });
  writeFileSync(join(folder, `${file}.wgsl`), code);
  process.env.PIPELINE_REPORT = join(folder, `${file}.txt`);
  try {
    return gpu.createComputePipeline(descriptor);
  } finally {
    delete process.env.PIPELINE_REPORT;
  }
};

const chosen = works.filter(({ name }) => new RegExp(pattern).test(name));
for (const [i, { name, choices = {}, make }] of chosen.entries()) {
  complain(`${i + 1}/${chosen.length} ${name}`);
  current = name;
  device.choose(choices);
  const [fn, ...args] = make();
  const plan = await compile(fn).prepare(...args);
  for (const command of plan.program.commands) {
    const entry = command.kind === 'dispatch' ? entries.get(command.shader.code) : undefined;
    if (command.kind !== 'dispatch' || entry?.work !== name) continue;
    const [x, y, z = 1] = command.dispatch.workgroups;
    entry.workgroups = Math.max(entry.workgroups, x * y * z);
    entry.uses++;
  }
  plan.destroy();
}
const index: Index = { adapter: device.adapter, entries: [...entries.values()] };
writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
process.exit();
