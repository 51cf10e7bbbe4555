/**
 * `node test/engines/node.mjs`: trains in Node, with the package `webgpu`, and prints what came out as JSON. Node 20
 * reads no TypeScript, so Vite loads the sources.
 */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createServer } from 'vite';
import { root } from '../../tools/machine.mjs';

const { create } = createRequire(join(root, 'bench/static/'))('webgpu');
const server = await createServer({
  root,
  configFile: join(root, 'vite.config.ts'),
  logLevel: 'error',
  server: { middlewareMode: true, ws: false, hmr: false, watch: null },
  optimizeDeps: { noDiscovery: true },
});
/** @type {typeof import('./trajectories.ts')} */
const { trajectories } = /** @type {any} */ (await server.ssrLoadModule('/test/engines/trajectories.ts'));
console.log(JSON.stringify(await trajectories({ gpu: create([]) })));
process.exit();
