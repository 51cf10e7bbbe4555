import { trajectories } from './trajectories.ts';

// weft runs in a worker as it does in a page: nothing has to be set up.
const result = await trajectories().catch((error: unknown) => ({ error: String(error) }));
globalThis.postMessage(result);
