/**
 * Whether this is Deno. Its `onSubmittedWorkDone` blocks until the queue is empty, and then sleeps for 10 ms before it
 * resolves.
 */
export const deno = 'Deno' in globalThis;
