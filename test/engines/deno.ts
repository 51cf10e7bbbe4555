import process from 'node:process';
import { trajectoriesInWorker } from './inWorker.ts';
import { trajectories } from './trajectories.ts';

// deno run -A test/engines/deno.ts [worker]: prints what came out as JSON.
console.log(JSON.stringify(await (process.argv[2] === 'worker' ? trajectoriesInWorker() : trajectories())));
process.exit();
