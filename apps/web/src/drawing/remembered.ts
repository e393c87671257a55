/** A few values that were costly to make, the least recently used of which goes first. */

export class Remembered<V> {
  readonly #capacity: number;
  readonly #values = new Map<string, V>();
  #closed = false;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Return a value that is remembered, or undefined. */
  get(key: string): V | undefined {
    const value = this.#values.get(key);
    return value === undefined ? undefined : this.put(key, value);
  }

  /** Remember a value, and return it. */
  put(key: string, value: V): V {
    if (!this.#closed) {
      this.#values.delete(key);
      this.#values.set(key, value);
      for (const oldest of this.#values.keys()) {
        if (this.#values.size <= this.#capacity) {
          break;
        }
        this.#values.delete(oldest);
      }
    }
    return value;
  }

  /** Forget everything, and remember nothing more. */
  close(): void {
    this.#closed = true;
    this.#values.clear();
  }
}
