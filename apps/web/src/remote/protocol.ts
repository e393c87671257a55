/**
 * What a page and the worker that draws for it tell each other: plain values, which `postMessage` copies.
 *
 * The engine may hold a thread for seconds (onnxruntime-node's `run` does), so the whole pipeline lives in a worker.
 * Browsers' workers and Node's worker threads use the same messages.
 */

import type { Manifest } from "../bundle/manifest.js";
import type { ErrorName } from "../errors.js";

/** The two ends of a channel, as browsers' `Worker` and `MessagePort` and Node's have them, brought to one shape. */
export interface Channel {
  post(message: unknown, transfer?: readonly ArrayBufferLike[]): void;
  /** Called with each message that arrives. */
  onMessage(listener: (message: unknown) => void): void;
}

/** An error without its class. */
export interface PlainError {
  readonly name: ErrorName | "Error";
  readonly message: string;
}

/** A call of a pipeline's function; those that yield are asked for their values one by one, with `next`. */
export type Request =
  | { readonly kind: "open"; readonly id: number; readonly options: unknown }
  | { readonly kind: "call"; readonly id: number; readonly method: string; readonly values: readonly unknown[] }
  | { readonly kind: "iterate"; readonly id: number; readonly method: string; readonly values: readonly unknown[] }
  | { readonly kind: "next" | "return" | "abort"; readonly id: number };

export type Reply =
  | { readonly kind: "opened"; readonly id: number; readonly manifest: Manifest; readonly bundleSha256: string }
  | { readonly kind: "value"; readonly id: number; readonly value: unknown }
  | { readonly kind: "done"; readonly id: number }
  | { readonly kind: "event"; readonly id: number; readonly name: string; readonly values: readonly unknown[] }
  | { readonly kind: "error"; readonly id: number; readonly error: PlainError };
