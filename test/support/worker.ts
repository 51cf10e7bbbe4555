import { parentPort } from 'node:worker_threads';

/** Vitest takes its listeners off a worker that it ends, which Deno's port refuses: nobody speaks to it any more. */
if (parentPort)
  Object.defineProperty(parentPort, 'removeAllListeners', { value: () => parentPort, configurable: true });
