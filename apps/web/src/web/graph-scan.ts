/**
 * What a graph asks of a graphics card, read from its ONNX file: how many buffers one node binds, and float16.
 *
 * Reads just enough of the protobuf wire format (protobuf.dev, "Encoding") and of ONNX's layout (onnx.proto).
 */

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
        halves ||= [...fields(tensor)].some((field) => field.number === DATA_TYPE && field.value === FLOAT16);
      }
    }
    return { parts, halves };
  } catch (error) {
    if (error instanceof RangeError) {
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
  return [...children(message, number)].length;
}

function* children(message: Uint8Array, number: number): Generator<Uint8Array> {
  for (const field of fields(message)) {
    if (field.number === number && field.value instanceof Uint8Array) {
      yield field.value;
    }
  }
}

interface Field {
  readonly number: number;
  readonly value: number | Uint8Array;
}

/** Yield a message's fields that are whole numbers or have a length. */
function* fields(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      if (at >= message.length) {
        throw new RangeError("it ends in the middle of a number");
      }
      const byte = message[at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        return value;
      }
    }
    throw new RangeError("a number is too long");
  };
  while (at < message.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    const wire = key % 8;
    if (wire === 0) {
      yield { number, value: varint() };
      continue;
    }
    const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : Number.NaN;
    if (!(at + length <= message.length)) {
      throw new RangeError(Number.isNaN(length) ? `unknown wire type ${wire}` : "it ends in the middle of a field");
    }
    if (wire === 2) {
      yield { number, value: message.subarray(at, at + length) };
    }
    at += length;
  }
}
