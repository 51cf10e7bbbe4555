import type { Draw } from './draw.ts';
import type { Lab } from './lab.ts';
import type { Picture } from './picture.ts';

/** A lecture's claim, and what shows it: the data, the model, the training, the figures and the picture. */
export interface Example<Settings extends Sizes = Sizes> {
  /** One sentence without a full stop. */
  readonly claim: string;
  /** Where the claim is from: authors and year. */
  readonly paper: string;
  /** What the claim is shown with: minutes on two cores without a GPU. */
  readonly full: Trial<Settings>;
  /** What the tests run: seconds. */
  readonly reduced: Trial<Settings>;
  /** Bars of the figures that come of a text of the user's, `--text`, where the example can learn one. */
  readonly text?: Bars;
  run(lab: Lab, settings: Settings): Promise<Outcome>;
}

/** Sizes of data, model and training. */
export interface Sizes {
  /** Training steps of each model, which `--steps` makes fewer; left out where nothing is trained. */
  readonly steps?: number;
  readonly [name: string]: unknown;
}

/** Settings, and what the figures that come out must reach, by the name of the figure. */
export interface Trial<Settings> {
  readonly settings: Settings;
  readonly bars: Bars;
}

export type Bars = Readonly<Record<string, Bar>>;

/** The bounds of a figure. */
export interface Bar {
  readonly least: number;
  readonly most: number;
}

export const atLeast = (least: number): Bar => ({ least, most: Infinity });
export const atMost = (most: number): Bar => ({ least: -Infinity, most });
/** Within `margin` of a value. */
export const within = (margin: number, value: number): Bar => ({ least: value - margin, most: value + margin });

/** What comes out of an example. */
export interface Outcome {
  /** Figures of what the claim is about, by name. */
  readonly metrics: Figures;
  /** Figures to hold them against, by name: names of all figures differ. */
  readonly baseline: Figures;
  readonly picture: Picture;
}

export type Figures = Readonly<Record<string, number>>;

/** Gives an example as it is; its settings need not be written down as a type. */
export const example = <Settings extends Sizes>(given: Example<Settings>): Example<Settings> => given;

/** Makes samples, as many as are asked for. */
export function* samples<Sample>(make: (draw: Draw) => Sample, draw: Draw, count = Infinity): Generator<Sample> {
  for (let i = 0; i < count; i++) yield make(draw);
}
