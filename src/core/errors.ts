/** Base of every error that weft throws on purpose. Messages begin with the operation that was called: `[matmul] …`. */
export class WeftError extends Error {
  /** Names the class, as consoles print it. */
  override readonly name: string = 'WeftError';
}

/** A shape, rank, axis or size breaks an operation's rule. */
export class ShapeError extends WeftError {
  override readonly name = 'ShapeError';
}

/** The element type of a tensor is not one that the operation takes. weft never promotes: cast first. */
export class DTypeError extends WeftError {
  override readonly name = 'DTypeError';
}

/** A value lies outside the range that the operation allows (a negative rate, NaN, a token id beyond the table). */
export class ValueError extends WeftError {
  override readonly name = 'ValueError';
}

/** The device, the runtime or weft itself cannot do what was asked. */
export class UnsupportedError extends WeftError {
  override readonly name = 'UnsupportedError';
}

/** The GPU refused an allocation. */
export class OutOfMemoryError extends WeftError {
  override readonly name = 'OutOfMemoryError';
}

/** The GPU device is gone; every pending read rejects with this. */
export class DeviceLostError extends WeftError {
  override readonly name = 'DeviceLostError';
}

/** A file does not obey its format. */
export class FormatError extends WeftError {
  override readonly name = 'FormatError';
}

/** Training has gone astray: a loss, a parameter or its gradient is no finite number. */
export class DivergenceError extends WeftError {
  override readonly name = 'DivergenceError';
  /** The step that showed it, counted from 1. */
  readonly step: number;
  /** Its loss. */
  readonly loss: number;
  /** The first parameter that was not finite, or whose gradient was not; null where only the loss shows it. */
  readonly parameter: string | null;

  constructor(
    message: string,
    {
      step,
      loss,
      parameter = null,
    }: Pick<DivergenceError, 'step' | 'loss'> & Partial<Pick<DivergenceError, 'parameter'>>,
  ) {
    super(message);
    this.step = step;
    this.loss = loss;
    this.parameter = parameter;
  }
}
