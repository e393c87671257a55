/** Whether this CPU adds up products of unsigned activations and signed 8-bit weights as they are: asked of the engine. */

import type { Ort } from "../engines/ort.js";

/** ONNX: y (1, 1) int32 = MatMulInteger(a (1, 4) uint8, b (4, 1) int8). */
const MODEL =
  "CAU6XAoYCgFhCgFiEgF5Ig1NYXRNdWxJbnRlZ2VyEgFnWhMKAWESDgoMCAISCAoCCAEKAggEWhMKAWISDgoMCAMSCAoCCAQKAggBYhMKAXkSDgoMCAYSCAoCCAEKAggBQgQKABAK";

const LARGEST = { activation: 255, weight: 127 };

/**
 * Return session options without which 8-bit products saturate on x86 CPUs that lack 8-bit dot products: the weights
 * become unsigned ones, which add up exactly but slowly.
 */
export async function exactSums(ort: Ort): Promise<Record<string, unknown>> {
  return (await addsSignedProductsExactly(ort)) ? {} : { extra: { session: { x64quantprecision: "1" } } };
}

/** Multiply the largest codes: such CPUs add them in pairs, in 16 bits. */
async function addsSignedProductsExactly(ort: Ort): Promise<boolean> {
  const options = { executionProviders: ["cpu"], intraOpNumThreads: 1 };
  const session = await ort.InferenceSession.create(Buffer.from(MODEL, "base64"), options);
  try {
    const { y } = await session.run({
      a: new ort.Tensor("uint8", new Uint8Array(4).fill(LARGEST.activation), [1, 4]),
      b: new ort.Tensor("int8", new Int8Array(4).fill(LARGEST.weight), [4, 1]),
    });
    return y.data[0] === 4 * LARGEST.activation * LARGEST.weight;
  } finally {
    await session.release();
  }
}
