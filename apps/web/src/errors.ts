/**
 * Every error that amused-edge throws on purpose: one line that says what was wrong, with the value, and what to do.
 *
 * Their `name` tells them apart where classes do not reach, as behind a worker.
 */

/** Longest message and longest value in one, in characters. */
const MESSAGE = 400;
const VALUE = 100;

/** What a terminal obeys or does not show: controls, and marks of direction and width. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be shown
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Base of all errors thrown on purpose. */
export class AmusedEdgeError extends Error {
  override readonly name: ErrorName = "AmusedEdgeError";

  constructor(message: string, options?: { cause?: unknown }) {
    super(oneLine(message), options);
  }
}

/** An option, prompt or task is out of range or of the wrong type. */
export class OptionsError extends AmusedEdgeError {
  override readonly name = "OptionsError";
}

/** A bundle cannot be opened, is incomplete or damaged. */
export class BundleError extends AmusedEdgeError {
  override readonly name = "BundleError";
}

/** A bundle's files cannot be fetched: the network or the server. */
export class DownloadError extends AmusedEdgeError {
  override readonly name = "DownloadError";
}

/** A bundle's files cannot be kept: the room that a browser gives is full. */
export class StorageError extends AmusedEdgeError {
  override readonly name = "StorageError";
}

/** An engine cannot load or run a graph, or it was fed the wrong arrays. */
export class GraphError extends AmusedEdgeError {
  override readonly name = "GraphError";
}

/** An execution provider is not to be had here, or would compute this bundle wrongly. */
export class ProviderError extends AmusedEdgeError {
  override readonly name = "ProviderError";
}

/** A picture could not be drawn, for example because a graph returned values that are not numbers. */
export class GenerationError extends AmusedEdgeError {
  override readonly name = "GenerationError";
}

/** What was asked for was cancelled through its `AbortSignal`; the signal's reason is the error's `cause`. */
export class CancelledError extends AmusedEdgeError {
  override readonly name = "CancelledError";
}

/** A saved state is damaged, or belongs to another bundle, task or version. */
export class StateError extends AmusedEdgeError {
  override readonly name = "StateError";
}

/** Something that amused-edge relies on is not so: a fault of its own, not of what it was given. */
export class InternalError extends AmusedEdgeError {
  override readonly name = "InternalError";
}

export type ErrorName =
  | "AmusedEdgeError"
  | "OptionsError"
  | "BundleError"
  | "DownloadError"
  | "StorageError"
  | "GraphError"
  | "ProviderError"
  | "GenerationError"
  | "CancelledError"
  | "StateError"
  | "InternalError";

/** The classes by name. */
export const ERRORS = {
  AmusedEdgeError,
  OptionsError,
  BundleError,
  DownloadError,
  StorageError,
  GraphError,
  ProviderError,
  GenerationError,
  CancelledError,
  StateError,
  InternalError,
} as const satisfies Record<ErrorName, typeof AmusedEdgeError>;

/** What is asked of a closed pipeline, and what a call ends with whose pipeline is closed meanwhile. */
export function closedError(): GraphError {
  return new GraphError("the pipeline was closed; make a new one");
}

/** Return a text as one line without control characters; of one longer than the limit, its beginning and end. */
export function oneLine(text: string, limit = MESSAGE): string {
  const joined = cut(text, 2 * limit)
    .split(/[\n\r\v\f\u0085\u2028\u2029]+/)
    .map((line) => line.trim())
    .filter((line) => line)
    .join(" ");
  return cut(joined.replace(HIDDEN, escaped), limit);
}

function escaped(letter: string): string {
  return `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Return a value for a message, as one short line. */
export function quoted(value: unknown, limit = VALUE): string {
  if (typeof value === "string") {
    return oneLine(JSON.stringify(value), limit);
  }
  if (typeof value === "bigint" || typeof value === "number" || value === undefined) {
    return oneLine(String(value), limit);
  }
  try {
    const plain = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part));
    return oneLine(plain ?? `a ${typeof value}`, limit);
  } catch {
    return `a ${typeof value}`;
  }
}

/** Return the first line of what another library threw, or its kind where it says nothing. */
export function firstLine(error: unknown): string {
  const text = String(error instanceof Error ? error.message : error).trim();
  return text ? (text.split("\n", 1)[0] ?? text) : "an error without a message";
}

function cut(text: string, limit: number): string {
  const half = (limit - 3) >> 1;
  return text.length <= limit ? text : `${text.slice(0, half)}...${text.slice(-half)}`;
}
