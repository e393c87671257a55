/** Stopping through an `AbortSignal`: asked between two calls of a graph, and between two pieces of a file. */

import { CancelledError } from "./errors.js";

/** Throw `CancelledError` if the signal was aborted. */
export function check(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new CancelledError("it was cancelled", { cause: signal.reason });
  }
}

declare const setImmediate: ((callback: () => void) => unknown) | undefined;

/** Let the host do what waits for it, as to tell of an abort; then throw `CancelledError` if there was one. */
export async function breathe(signal: AbortSignal | undefined): Promise<void> {
  check(signal);
  await new Promise<void>((resume) => {
    if (typeof setImmediate === "function") {
      setImmediate(resume);
    } else {
      setTimeout(resume, 0);
    }
  });
  check(signal);
}
