/** The one shape that every engine has: named arrays in, named arrays out. */

import type { GraphEntry, TensorSpec } from "../bundle/graph-entry.js";
import { GraphError, quoted } from "../errors.js";

/** Numbers and their shape, row by row. Whole numbers of 64 bits are 32-bit ones here. */
export interface NdArray {
  readonly data: Float32Array | Int32Array | Uint8Array;
  readonly shape: readonly number[];
}

export type Arrays = Readonly<Record<string, NdArray>>;

/** A loaded graph. */
export interface Graph {
  /** Run the graph; throws `GraphError` where an input is missing, unknown or of another shape. */
  run(inputs: Arrays): Promise<Arrays>;
  /** Release what the engine holds; the graph cannot be run any more. */
  close(): Promise<void>;
}

/** Check inputs against the manifest. */
export function checkInputs(role: string, entry: GraphEntry, inputs: Arrays): void {
  const expected = entry.inputs.map((spec) => spec.name).sort();
  const given = Object.keys(inputs).sort();
  if (given.join("\0") !== expected.join("\0")) {
    throw new GraphError(`${role} takes ${quoted(expected)}, it was given ${quoted(given)}`);
  }
  const sizes = new Map<string, number>();
  for (const spec of entry.inputs) {
    const { shape } = inputs[spec.name];
    if (!fits(shape, spec, sizes)) {
      throw new GraphError(`${role}: ${spec.name} has shape ${quoted(shape)}, the graph takes ${quoted(spec.shape)}`);
    }
  }
}

/** @param sizes of the dimensions that have names, by their names */
function fits(shape: readonly number[], spec: TensorSpec, sizes: Map<string, number>): boolean {
  return (
    shape.length === spec.shape.length &&
    shape.every((size, axis) => {
      const side = spec.shape[axis];
      const wanted = typeof side === "number" ? side : (sizes.get(side) ?? size);
      sizes.set(String(side), wanted);
      return size === wanted;
    })
  );
}

/** Say whether a graph takes one row only. */
export function hasStaticBatch(entry: GraphEntry): boolean {
  return entry.inputs.every((spec) => spec.shape[0] === 1);
}

/** Lets a graph that takes one row at a time take several, by running it once per row. */
export class OneByOne implements Graph {
  readonly #graph: Graph;

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  async run(inputs: Arrays): Promise<Arrays> {
    const rows = Math.max(...Object.values(inputs).map((array) => array.shape[0]));
    const results: Arrays[] = [];
    for (let row = 0; row < rows; row++) {
      results.push(await this.#graph.run(mapArrays(inputs, (array) => rowsOf(array, row, row + 1))));
    }
    return stack(results);
  }

  close(): Promise<void> {
    return this.#graph.close();
  }
}

/** Put arrays of the same names together along their first axis. */
export function stack(parts: readonly Arrays[]): Arrays {
  return parts.length === 1
    ? parts[0]
    : mapArrays(parts[0], (_, name) => concatenated(parts.map((part) => part[name])));
}

/** Return some rows of an array, from one to before another. */
export function rowsOf({ data, shape }: NdArray, from: number, to: number): NdArray {
  const width = data.length / shape[0];
  return { data: data.subarray(from * width, to * width), shape: [to - from, ...shape.slice(1)] };
}

export function mapArrays(arrays: Arrays, change: (array: NdArray, name: string) => NdArray): Arrays {
  return Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, change(array, name)]));
}

function concatenated(parts: readonly NdArray[]): NdArray {
  const [{ data, shape }] = parts;
  const all = new (data.constructor as new (length: number) => typeof data)(data.length * parts.length);
  parts.forEach((part, i) => {
    all.set(part.data, i * data.length);
  });
  return { data: all, shape: [shape[0] * parts.length, ...shape.slice(1)] };
}
