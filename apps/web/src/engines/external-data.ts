/**
 * Finds where an ONNX model file says that its weights lie, before an engine sees it.
 *
 * Reads just enough of ONNX's message layout (onnx.proto) to visit every tensor: initializers, constants in
 * attributes, subgraphs, functions.
 */

import { fromUtf8 } from "../utf8.js";
import { messagesOf } from "./protobuf.js";

/** Where a tensor's values lie: file name as written in the model, first byte, number of bytes (0: not stated). */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

const DEEPEST = 64;

/** Message -> field number -> message inside. Only paths that lead to a tensor. */
const CHILDREN: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  model: { 7: "graph", 20: "training", 25: "function" },
  training: { 1: "graph", 2: "graph" },
  graph: { 1: "node", 5: "tensor", 15: "sparse" },
  function: { 7: "node", 11: "attribute" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse" },
  sparse: { 1: "tensor", 2: "tensor" },
};

/** Of a tensor: entries of where its values lie, each a key (1) and a value (2). */
const ENTRY = 13;

/** Return every reference to external data in a serialized ONNX model; throws `SyntaxError` if it is none. */
export function externalData(model: Uint8Array): ExternalData[] {
  const found: ExternalData[] = [];
  visit(model, "model", 0, found);
  return found;
}

function visit(message: Uint8Array, kind: string, depth: number, found: ExternalData[]): void {
  if (depth > DEEPEST) {
    throw new SyntaxError("its graphs are nested too deeply");
  }
  if (kind === "tensor") {
    const reference = tensorReference(message);
    if (reference) {
      found.push(reference);
    }
    return;
  }
  for (const [number, content] of messagesOf(message)) {
    const inside = CHILDREN[kind][number];
    if (inside !== undefined) {
      visit(content, inside, depth + 1, found);
    }
  }
}

function tensorReference(tensor: Uint8Array): ExternalData | undefined {
  const entries = new Map<string, string>();
  for (const [number, content] of messagesOf(tensor)) {
    if (number === ENTRY) {
      const pair = new Map([...messagesOf(content)].map(([field, text]) => [field, fromUtf8(text) ?? "\ufffd"]));
      entries.set(pair.get(1) ?? "", pair.get(2) ?? "");
    }
  }
  if (!entries.size) {
    return undefined;
  }
  return {
    location: entries.get("location") ?? "",
    offset: count(entries, "offset"),
    length: count(entries, "length"),
  };
}

function count(entries: ReadonlyMap<string, string>, name: string): number {
  const text = entries.get(name) ?? "0";
  const value = Number(text);
  if (!/^\s*[-+]?[0-9]+\s*$/.test(text) || !Number.isSafeInteger(value)) {
    throw new SyntaxError(`the ${name} of a tensor's values is no whole number`);
  }
  return value;
}
