/** What `manifest.json` says of a graph: its files, what it takes and gives, and what its weights became. */

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
