import type { Trajectories } from './trajectories.ts';

/** The same from a worker, in browsers and in Deno. */
export function trajectoriesInWorker(): Promise<Trajectories> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  return new Promise<Trajectories>((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
    worker.onerror = (event) => reject(new Error(event.message || 'the worker could not be started'));
  }).finally(() => worker.terminate());
}
