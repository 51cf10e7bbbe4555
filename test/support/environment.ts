/** Which WebGPU stack runs this file: Chromium (Tint, Dawn) or Deno (naga, wgpu). */
export const runtime: 'chromium' | 'deno' = 'Deno' in globalThis ? 'deno' : 'chromium';

/** The kernel selection profile that this run pins, from `WEFT_PROFILE`. */
export const profile: 'gpu' | 'software' = import.meta.env.WEFT_PROFILE === 'gpu' ? 'gpu' : 'software';

/** Seed for inputs that are drawn afresh in each run; the runner prints it, and `WEFT_SEED` repeats it. */
export const seed = Number(import.meta.env.WEFT_SEED);
