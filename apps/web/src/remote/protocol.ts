/**
 * What a page and the worker that draws for it tell each other: plain values, which `postMessage` copies.
 *
 * The engine may hold a thread for seconds (onnxruntime-node's `run` does), so the whole pipeline lives in a worker.
 * Browsers' workers and Node's worker threads use the same messages.
 */

import type { Manifest } from "../bundle/manifest.js";
import { AmusedEdgeError, ERRORS, type ErrorName, firstLine } from "../errors.js";

/** One end of a channel: what browsers' `Worker` and `MessagePort` and Node's are brought to. */
export interface Channel {
  post(message: unknown): void;
  /** Called with each message that arrives. */
  onMessage(listener: (message: unknown) => void): void;
  /** Called if the other end is gone for good, as a worker that could not be loaded or ran out of memory. */
  onFailure?(listener: (error: Error) => void): void;
  /** End the other end, and the channel. */
  close?(): Promise<void> | void;
}

/** Functions of a pipeline that return once, and those that yield. */
export type Call =
  | "generate"
  | "begin"
  | "finish"
  | "preview"
  | "decode"
  | "encode"
  | "embed"
  | "checkGolden"
  | "close";
export type Iteration = "pictures" | "stream" | "resume";

/** Of a function that yields, values are asked for one by one, with `next`. */
export type Request =
  | { readonly kind: "open"; readonly id: number; readonly options: unknown }
  | { readonly kind: "call"; readonly id: number; readonly method: Call; readonly values: readonly unknown[] }
  | { readonly kind: "iterate"; readonly id: number; readonly method: Iteration; readonly values: readonly unknown[] }
  | { readonly kind: "next" | "return" | "abort"; readonly id: number };

export type Reply =
  | { readonly kind: "opened"; readonly id: number; readonly manifest: Manifest; readonly bundleSha256: string }
  | { readonly kind: "value"; readonly id: number; readonly value: unknown }
  | { readonly kind: "done"; readonly id: number }
  | { readonly kind: "event"; readonly id: number; readonly name: string; readonly values: readonly unknown[] }
  | { readonly kind: "error"; readonly id: number; readonly error: PlainError };

/** An error without its class. */
export interface PlainError {
  readonly name: ErrorName | "Error";
  readonly message: string;
}

/** Take an error's class away. */
export function plainError(error: unknown): PlainError {
  return error instanceof AmusedEdgeError
    ? { name: error.name, message: error.message }
    : { name: "Error", message: firstLine(error) };
}

/** Give an error its class again. */
export function revived({ name, message }: PlainError, cause?: unknown): Error {
  return name === "Error" ? new Error(message) : new ERRORS[name](message, { cause });
}
