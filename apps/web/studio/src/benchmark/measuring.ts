/** Wraps onnxruntime-web, in its worker: every call of a graph is timed, and the last step's logits are at hand. */

import type { Ort, OrtSession, OrtTensor } from "../../../src/engines/ort.js";
import { guide } from "../../../src/sampling/sampler.js";

/** What the worker tells the page beside the runtime's own messages. */
export type Measured =
  | { readonly kind: "ran"; readonly role: string; readonly seconds: number; readonly memory: number | undefined }
  | { readonly kind: "logits"; readonly values: Float32Array };

/** Asks for the logits of some positions of the last step, guided where the scale is above 1. */
export interface LogitsRequest {
  readonly kind: "logits";
  readonly rows: readonly number[];
  readonly scale: number;
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
  let last: OrtTensor[] = []; // of the denoiser's last two calls: one for each branch of guidance, or one for both
  globalThis.addEventListener("message", (event: MessageEvent<LogitsRequest>) => {
    if (event.data?.kind === "logits") tell({ kind: "logits", values: guidedRows(last, event.data) });
  });
  const create = async (model: unknown, options?: unknown): Promise<OrtSession> => {
    const session = await ort.InferenceSession.create(model, options);
    const role = roleOf(session);
    const run = async (feeds: unknown, settings?: unknown): Promise<Record<string, OrtTensor>> => {
      const began = performance.now();
      const results: Record<string, OrtTensor> = await session.run(feeds, settings);
      tell({ kind: "ran", role, seconds: (performance.now() - began) / 1000, memory: memory() });
      const [output] = Object.values(results);
      if (role === "denoiser" && output) last = [...last.slice(-1), output];
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

/** Return logits (rows, codebook), guided as the runtime guides. */
function guidedRows(tensors: readonly OrtTensor[], { rows, scale }: LogitsRequest): Float32Array {
  const columns = tensors.at(-1)?.dims.at(-1) ?? 0;
  const [unconditional, conditional] = branches(tensors);
  const values = new Float32Array(rows.length * columns);
  rows.forEach((row, place) => {
    const at = row * columns;
    const to = values.subarray(place * columns, (place + 1) * columns);
    if (scale > 1) {
      guide(unconditional, conditional, at, scale, to);
    } else {
      to.set(conditional.subarray(at, at + columns));
    }
  });
  return values;
}

/** Return what the denoiser said without the prompt, and with it. */
function branches(tensors: readonly OrtTensor[]): [Float32Array, Float32Array] {
  const all = tensors.map((tensor) => tensor.data as Float32Array);
  const last = all.at(-1) ?? new Float32Array();
  return tensors.at(-1)?.dims[0] === 2
    ? [last.subarray(0, last.length / 2), last.subarray(last.length / 2)]
    : [all[0] ?? last, last];
}
