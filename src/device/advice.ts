/** Where weft runs: what advice has to know where there is no WebGPU. */
export interface Surroundings {
  readonly runtime: 'deno' | 'bun' | 'node' | 'page' | 'worker';
  /** Whether the origin is secure (https, localhost); browsers keep WebGPU from others. True outside of browsers. */
  readonly secure: boolean;
}

/** The part of a global scope that shows where weft runs. */
export interface GlobalScope {
  readonly document?: unknown;
  readonly WorkerGlobalScope?: unknown;
  readonly isSecureContext?: boolean;
  readonly Deno?: unknown;
  readonly Bun?: unknown;
  readonly process?: { readonly versions?: { readonly node?: string } };
}

export function surroundings(scope: GlobalScope): Surroundings {
  // Deno and Bun have parts of Node's and of a worker's scope; windows of Electron have all of Node's.
  if (scope.Deno !== undefined) return { runtime: 'deno', secure: true };
  if (scope.Bun !== undefined) return { runtime: 'bun', secure: true };
  const secure = scope.isSecureContext ?? true;
  if (scope.document !== undefined) return { runtime: 'page', secure };
  if (scope.process?.versions?.node !== undefined) return { runtime: 'node', secure: true };
  return { runtime: scope.WorkerGlobalScope === undefined ? 'page' : 'worker', secure };
}

/** A whole message: why there is no WebGPU, or no adapter, and what to do about it. */
export function adviceFor(missing: 'WebGPU' | 'adapter', { runtime, secure }: Surroundings): string {
  if (missing === 'adapter') return `WebGPU is there, but no adapter: ${adapterAdvice[runtime]}`;
  if (!secure)
    return 'browsers give WebGPU to secure origins only, and this one is not: serve it over https, or from localhost';
  return `this runtime has no WebGPU: ${apiAdvice[runtime]}`;
}

const browsers = 'use Chrome or Edge 113+, Safari 26+ or Firefox 141+';
const chrome =
  'in Chrome, chrome://gpu tells what is blocked; on Linux it may need chrome://flags/#enable-unsafe-webgpu';
const vulkan = 'on Debian and Ubuntu without a GPU, `apt-get install mesa-vulkan-drivers` brings a software one';
const denoDriver = `Deno needs a Vulkan, Metal or Direct3D 12 driver; ${vulkan}`;
const nodePackage =
  "install the package `webgpu` and pass what it makes, `import { create } from 'webgpu'; await init({ gpu: create([]) })`, " +
  'or run under Deno, which has WebGPU';

const apiAdvice: Readonly<Record<Surroundings['runtime'], string>> = {
  deno: 'Deno has it from version 2 on, older ones with --unstable-webgpu',
  bun: 'Bun has none of its own; run under Deno, which has WebGPU, or pass what a package that brings WebGPU makes: init({ gpu })',
  node: `Node.js has none of its own; ${nodePackage}`,
  page: `${browsers}; ${chrome}`,
  worker: `${browsers}, where workers have it, too; if this browser's have not, call init() in the page; ${chrome}`,
};

const adapterAdvice: Readonly<Record<Surroundings['runtime'], string>> = {
  deno: denoDriver,
  bun: `the package that brings WebGPU needs a Vulkan, Metal or Direct3D 12 driver; ${vulkan}`,
  node: `the package that brings WebGPU needs a Vulkan, Metal or Direct3D 12 driver; ${vulkan}`,
  page: `${chrome}; other browsers want a newer driver or system`,
  worker: `${chrome}; other browsers want a newer driver or system`,
};
