import type { LossCurve } from './chart.ts';

/** Where a training run is. */
export interface Progress {
  readonly model: string;
  /** Steps done, of `steps`. */
  readonly step: number;
  readonly steps: number;
  /** Mean over the last few steps. */
  readonly loss: number;
  readonly tokensPerSecond: number;
  readonly secondsLeft: number;
}

/** What the job needs from where it runs: Deno (deno.ts), or a page (browser.ts), which hands all of it to chrome.ts. */
export interface Host {
  /** Runtime and version. */
  readonly runtime: string;
  /** True once the user has asked the run to end. */
  readonly interrupted: boolean;
  print(text?: string): void;
  progress(progress: Progress): void;
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Throws JobError where no file can be written to the folder, which is made where it is not there. */
  tryFolder(folder: string): Promise<void>;
  /** Writes a new file and renames it, so that the old one is whole until the new one is. Gives the path. */
  writeFile(folder: string, name: string, bytes: Uint8Array): Promise<string>;
  /** Draws a loss curve for people to look at, and writes it as an SVG file. Gives its path. */
  showCurve(folder: string, name: string, curve: LossCurve): Promise<string>;
  /** weft's own source files, by path. */
  sources(): Promise<Readonly<Record<string, string>>>;
}

/** Something that the user can put right: printed in one line, exit code 1. */
export class JobError extends Error {
  override readonly name = 'JobError';
}
