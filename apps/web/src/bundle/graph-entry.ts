/** What `manifest.json` says of a graph: its files, what it takes and gives, and what its weights became. */

import { BundleError, quoted } from "../errors.js";
import { DAMAGED, type Fields } from "./json-fields.js";

/** A file of the bundle: path inside it ("/" between parts), size in bytes, SHA-256 in hex. */
export interface FileEntry {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A named input or output of a graph. A dimension is a number, or a name where it is dynamic. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
  readonly layout: string;
}

/** What a weight became in a quantized bundle; docs/bundle.md has the values. */
export interface TensorFormat {
  readonly bits: number;
  readonly block: number | undefined;
  readonly activations: string;
  readonly operator: string;
  readonly error: number;
  readonly codes: string;
}

export interface GraphEntry {
  /** The model file first, then its weights. */
  readonly files: readonly FileEntry[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly storedPrecision: string;
  readonly executedPrecision: string;
  /** What each weight became, by its name in the parent bundle; empty in an exported bundle. */
  readonly tensors: Readonly<Record<string, TensorFormat>>;
}

/** Parse one of the manifest's files; a name that may lie outside the bundle is refused. */
export function readFile(fields: Fields): FileEntry {
  const path = fields.get("path", "string");
  const parts = path.split("/");
  if (!parts.some((part) => part) || path.startsWith("/") || /[\\:\0]/.test(path) || parts.some(leaves)) {
    throw new BundleError(
      `the manifest names ${quoted(path)}, which may lie outside the bundle; do not use this bundle`,
    );
  }
  return { path, bytes: fields.get("bytes", "int"), sha256: fields.get("sha256", "string") };
}

/** Parse one of the manifest's graphs. */
export function readGraph(fields: Fields): GraphEntry {
  const files = fields.items("files", readFile);
  if (!files.length) {
    throw new BundleError(`manifest.json: a graph has no files; ${DAMAGED}`);
  }
  const derived = fields.child("derived_tensors");
  for (const name of derived.names) {
    derived.values(name, "string");
  }
  return {
    files,
    inputs: fields.items("inputs", readTensor),
    outputs: fields.items("outputs", readTensor),
    storedPrecision: fields.get("stored_precision", "string"),
    executedPrecision: fields.get("executed_precision", "string"),
    tensors: fields.table("tensors", readFormat),
  };
}

function leaves(part: string): boolean {
  return part === "." || part === "..";
}

function readTensor(fields: Fields): TensorSpec {
  const shape = fields.get("shape", "list");
  if (!shape.every((side) => typeof side === "string" || typeof side === "bigint")) {
    throw new BundleError(`manifest.json: shape ${quoted(shape)} is not a list of numbers and names`);
  }
  return {
    name: fields.get("name", "string"),
    dtype: fields.get("dtype", "string"),
    shape: shape.map((side) => (typeof side === "bigint" ? Number(side) : String(side))),
    layout: fields.get("layout", "string"),
  };
}

function readFormat(fields: Fields): TensorFormat {
  return {
    bits: fields.get("bits", "int"),
    block: fields.raw("block") === null ? undefined : fields.get("block", "int"),
    activations: fields.get("activations", "string"),
    operator: fields.get("operator", "string"),
    error: fields.get("error", "float"),
    codes: fields.get("codes", "string"),
  };
}
