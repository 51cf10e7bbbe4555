/** A Map of what was used last: beyond `most`, it drops what has not been asked for the longest, and tells `dropped` of it. */
export class Recent<Value> extends Map<string, Value> {
  readonly #most: number;
  readonly #dropped: (value: Value) => void;

  constructor(most: number, dropped: (value: Value) => void = () => {}) {
    super();
    this.#most = most;
    this.#dropped = dropped;
  }

  override get(key: string): Value | undefined {
    const value = super.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  /** The value of a key; made and kept where there is none. */
  ensure(key: string, make: () => Value): Value {
    if (!this.has(key)) this.set(key, make());
    return this.get(key) as Value;
  }

  override set(key: string, value: Value): this {
    this.delete(key);
    super.set(key, value);
    for (const [oldest, old] of this) {
      if (this.size <= this.#most) break;
      this.delete(oldest);
      this.#dropped(old);
    }
    return this;
  }
}
