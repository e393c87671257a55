/** What a graph asks of a graphics card, read from its ONNX file (onnx.proto): buffers of one node, and float16. */

import { fieldsOf, messagesOf } from "../engines/protobuf.js";
import { BundleError } from "../errors.js";

export interface Demands {
  /** Of its Splits and Concats, which WebGPU binds a buffer each for every part: the most parts. */
  readonly parts: number;
  /** Whether it holds tensors of float16. */
  readonly halves: boolean;
}

const GRAPH = 7; // of a model
const NODE = 1; // of a graph
const INITIALIZER = 5;
const INPUT = 1; // of a node
const OUTPUT = 2;
const OPERATOR = 4;
const DATA_TYPE = 2; // of a tensor
const FLOAT16 = 10;

/** Return what a serialized ONNX model asks for; throws `BundleError` if it is none. */
export function demands(model: Uint8Array, name: string): Demands {
  try {
    let parts = 0;
    let halves = false;
    for (const graph of children(model, GRAPH)) {
      for (const node of children(graph, NODE)) {
        parts = Math.max(parts, partsOf(node));
      }
      for (const tensor of children(graph, INITIALIZER)) {
        halves ||= [...fieldsOf(tensor)].some(([field, value]) => field === DATA_TYPE && value === FLOAT16);
      }
    }
    return { parts, halves };
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new BundleError(`${name} is not an ONNX model (${error.message}); copy the bundle again`);
    }
    throw error;
  }
}

function partsOf(node: Uint8Array): number {
  const [operator] = children(node, OPERATOR);
  const type = operator && String.fromCharCode(...operator);
  return type === "Split" ? count(node, OUTPUT) : type === "Concat" ? count(node, INPUT) : 0;
}

function count(message: Uint8Array, number: number): number {
  return children(message, number).length;
}

function children(message: Uint8Array, number: number): Uint8Array[] {
  return [...messagesOf(message)].filter(([field]) => field === number).map(([, value]) => value);
}
