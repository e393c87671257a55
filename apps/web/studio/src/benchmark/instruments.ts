/** The page's end of a worker that measures. */

import type { LogitsRequest, Measured } from "./measuring.js";

export class Instruments {
  /** Most bytes that WebAssembly had so far; undefined where the engine did not say. */
  memory: number | undefined;
  readonly #worker: Worker;
  #calls: { readonly role: string; readonly seconds: number }[] = [];

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.addEventListener("message", ({ data }: MessageEvent<Measured>) => {
      if (data?.kind === "ran") {
        this.#calls.push(data);
        if (data.memory !== undefined) this.memory = Math.max(this.memory ?? 0, data.memory);
      }
    });
  }

  /** Forget the calls so far. */
  begin(): void {
    this.#calls = [];
  }

  /** Return role -> seconds of each call. */
  stages(): Record<string, number[]> {
    const found: Record<string, number[]> = {};
    for (const { role, seconds } of this.#calls) {
      found[role] ??= [];
      found[role].push(seconds);
    }
    return found;
  }

  /** Return the guided logits of some positions, of the step that was drawn last. */
  logits(rows: readonly number[], scale: number, signal: AbortSignal): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      const listen = ({ data }: MessageEvent<Measured>): void => {
        if (data?.kind === "logits") {
          this.#worker.removeEventListener("message", listen);
          resolve(data.values);
        }
      };
      this.#worker.addEventListener("message", listen);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.#worker.postMessage({ kind: "logits", rows, scale } satisfies LogitsRequest);
    });
  }
}
