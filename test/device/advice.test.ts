import { describe, expect, it } from 'vitest';
import { adviceFor, type GlobalScope, type Surroundings, surroundings } from '../../src/device/advice.ts';
import { init, UnsupportedError } from '../../src/index.ts';
import { runtime } from '../support/environment.ts';

const class_ = class {};
const node = { versions: { node: '20.20.2' } };

describe('what init says without WebGPU', () => {
  it.each<[where: string, scope: GlobalScope, found: Surroundings, advice: string]>([
    [
      'a page',
      { document: {}, isSecureContext: true },
      { runtime: 'page', secure: true },
      'this runtime has no WebGPU: use Chrome or Edge 113+, Safari 26+ or Firefox 141+; in Chrome, chrome://gpu tells',
    ],
    [
      'a page on http',
      { document: {}, isSecureContext: false },
      { runtime: 'page', secure: false },
      'browsers give WebGPU to secure origins only, and this one is not: serve it over https, or from localhost',
    ],
    [
      'a worker',
      { WorkerGlobalScope: class_, isSecureContext: true },
      { runtime: 'worker', secure: true },
      "if this browser's have not, call init() in the page",
    ],
    [
      'a worker on http',
      { WorkerGlobalScope: class_, isSecureContext: false },
      { runtime: 'worker', secure: false },
      'serve it over https, or from localhost',
    ],
    ['Node', { process: node }, { runtime: 'node', secure: true }, 'await init({ gpu: create([]) })'],
    [
      'a window of Electron',
      { document: {}, process: node, isSecureContext: true },
      { runtime: 'page', secure: true },
      'use Chrome',
    ],
    [
      'Bun, which has process and workers',
      { Bun: {}, process: node, WorkerGlobalScope: class_ },
      { runtime: 'bun', secure: true },
      'Bun has none of its own; run under Deno',
    ],
    [
      'Deno, which has process and workers',
      { Deno: {}, process: node, WorkerGlobalScope: class_ },
      { runtime: 'deno', secure: true },
      'Deno has it from version 2 on',
    ],
    [
      'a page whose bundler brings a process',
      { document: {}, process: { versions: {} }, isSecureContext: true },
      { runtime: 'page', secure: true },
      'use Chrome',
    ],
  ])('fits %s', (_, scope, found, advice) => {
    expect(surroundings(scope)).toEqual(found);
    expect(adviceFor('WebGPU', found)).toContain(advice);
  });

  it.each([
    ['deno', 'Deno needs a Vulkan, Metal or Direct3D 12 driver; on Debian'],
    ['node', 'the package that brings WebGPU needs a Vulkan'],
    ['bun', 'the package that brings WebGPU needs a Vulkan'],
    ['page', 'chrome://gpu tells what is blocked'],
    ['worker', 'chrome://gpu tells what is blocked'],
  ] as const)('fits %s where only an adapter is missing', (name, advice) => {
    const message = adviceFor('adapter', { runtime: name, secure: true });
    expect(message).toMatch(/^WebGPU is there, but no adapter: /);
    expect(message).toContain(advice);
  });

  it('knows where it is now', () => {
    expect(surroundings(globalThis)).toEqual({ runtime: runtime === 'deno' ? 'deno' : 'page', secure: true });
  });

  it('is said by init, which takes the GPU of a package', async () => {
    const none = { requestAdapter: async () => null } as unknown as GPU;
    await expect(init({ gpu: none })).rejects.toThrow(UnsupportedError);
    await expect(init({ gpu: none })).rejects.toThrow('[init] WebGPU is there, but no adapter: ');
  });
});
