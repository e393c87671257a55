/** Wraps onnxruntime-web, in its worker: every call of a graph is timed, and the last unguided logits are at hand. */

import type { Ort, OrtSession, OrtTensor } from "../../../src/engines/ort.js";

/** What the worker tells the page beside the runtime's own messages. */
export type Measured =
  | { readonly kind: "ran"; readonly role: string; readonly seconds: number; readonly memory: number | undefined }
  | { readonly kind: "logits"; readonly rows: number; readonly columns: number; readonly values: Float32Array };

/** Asks for the logits of every so-manieth position of the last call of the denoiser for one picture. */
export interface LogitsRequest {
  readonly kind: "logits";
  readonly every: number;
}

/** Return a function that tells how many bytes WebAssembly holds; the engine's memory is made after this. */
export function watchMemory(): () => number | undefined {
  const made: WebAssembly.Memory[] = [];
  const { Memory } = WebAssembly;
  class Watched extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      made.push(this);
    }
  }
  WebAssembly.Memory = Watched;
  return () => (made.length ? made.reduce((sum, memory) => sum + memory.buffer.byteLength, 0) : undefined);
}

export function measuring(ort: Ort, memory: () => number | undefined, tell: (message: Measured) => void): Ort {
  let last: OrtTensor | undefined;
  globalThis.addEventListener("message", (event: MessageEvent<LogitsRequest>) => {
    if (event.data?.kind === "logits" && last) tell(rowsOf(last, event.data.every));
  });
  const create = async (model: unknown, options?: unknown): Promise<OrtSession> => {
    const session = await ort.InferenceSession.create(model, options);
    const role = roleOf(session);
    const run = async (feeds: unknown, settings?: unknown): Promise<Record<string, OrtTensor>> => {
      const began = performance.now();
      const results: Record<string, OrtTensor> = await session.run(feeds, settings);
      tell({ kind: "ran", role, seconds: (performance.now() - began) / 1000, memory: memory() });
      const [output] = Object.values(results);
      if (role === "denoiser" && output?.dims[0] === 1) last = output;
      return results;
    };
    return {
      inputNames: session.inputNames,
      outputNames: session.outputNames,
      run,
      release: () => session.release(),
    };
  };
  return { Tensor: ort.Tensor, InferenceSession: { create }, ...(ort.env && { env: ort.env }) };
}

/** Tell a graph by what it takes. */
function roleOf({ inputNames }: OrtSession): string {
  if (inputNames.includes("input_ids")) return "text_encoder";
  if (inputNames.includes("micro_conditions")) return "conditioner";
  if (inputNames.includes("image")) return "image_encoder";
  return inputNames.length === 1 ? "image_decoder" : "denoiser";
}

function rowsOf(tensor: OrtTensor, every: number): Measured {
  const columns = tensor.dims.at(-1) ?? 1;
  const all = tensor.data as Float32Array;
  const places = Array.from({ length: all.length / columns }, (_, row) => row).filter((row) => row % every === 0);
  const values = new Float32Array(places.length * columns);
  for (const [to, row] of places.entries()) {
    values.set(all.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return { kind: "logits", rows: places.length, columns, values };
}
