/** The worker of `measure.ts`: loads one graph as the package does, calls it, and tells what that took. */
import { openBundle } from "../../src/bundle/bundle.js";
import type { Role } from "../../src/bundle/manifest.js";
import type { Arrays } from "../../src/engines/graph.js";
import { loadGraph } from "../../src/engines/onnx-session.js";
import { engineOptions } from "../../src/engines/options.js";
import { StoredFiles } from "../../src/web/files.js";
import { importOrt } from "../../src/web/ort-module.js";
import type { Provider } from "../../src/web/providers.js";
import { ServerSource } from "../../src/web/server-source.js";
import { openShelf } from "../../src/web/shelf.js";

export interface Asked {
  readonly url: string;
  readonly ort: string;
  readonly role: Role;
  readonly provider: Provider;
  readonly threads: number;
  readonly calls: number;
}

/** Seconds and MB. */
export interface Told {
  readonly error?: string;
  readonly weights: number;
  readonly load: number;
  readonly calls: readonly number[];
  readonly memoryLoaded: number;
  readonly memoryCalled: number;
  /** Some thousand values of the first output. */
  readonly sample: readonly number[];
}

const SAMPLE = 8192;

/** WebAssembly's memory, whether the engine makes it or its module does; its size is told nowhere else. */
let memory: WebAssembly.Memory | undefined;
const { Memory, instantiate } = WebAssembly;
WebAssembly.Memory = class extends Memory {
  constructor(descriptor: WebAssembly.MemoryDescriptor) {
    super(descriptor);
    if (descriptor.initial > 1) memory = this;
  }
};
WebAssembly.instantiate = (async (...given: Parameters<typeof instantiate>) => {
  const made = (await instantiate(...given)) as WebAssembly.Instance | WebAssembly.WebAssemblyInstantiatedSource;
  const { exports } = "instance" in made ? made.instance : made;
  memory ??= Object.values(exports).find((one) => one instanceof Memory);
  return made;
}) as typeof instantiate;

const megabytes = (): number => (memory?.buffer.byteLength ?? 0) / 1e6;
const now = (): number => performance.now() / 1000;

addEventListener("message", async ({ data }: MessageEvent<Asked>) => {
  try {
    postMessage(await measure(data));
  } catch (error) {
    postMessage({ error: String(error) });
  }
});

async function measure({ url, ort: folder, role, provider, threads, calls }: Asked): Promise<Told> {
  const source = new ServerSource(url, new StoredFiles(await openShelf()));
  const bundle = await openBundle(source);
  const { files, inputs } = bundle.manifest.graphs[role];
  await source.fetch(files);
  const ort = await importOrt(folder, provider);
  (ort.env as { wasm: { numThreads: number } }).wasm.numThreads = threads;
  let began = now();
  const graph = await loadGraph(
    bundle,
    role,
    ort,
    engineOptions({ executionProviders: [provider], keepGraphs: false }),
  );
  const load = now() - began;
  const memoryLoaded = megabytes();
  const given = Object.fromEntries(inputs.map(({ name, dtype, shape }) => [name, array(dtype, shape)]));
  const times: number[] = [];
  let output: ArrayLike<number> = [];
  for (let i = 0; i < calls; i++) {
    began = now();
    output = Object.values(await graph.run(given))[0]?.data ?? [];
    times.push(now() - began);
  }
  const weights = files.reduce((sum, file) => sum + file.bytes, 0) / 1e6;
  const stride = Math.ceil(output.length / SAMPLE);
  const sample = Array.from({ length: Math.floor(output.length / stride) }, (_, i) => output[i * stride] ?? 0);
  return { weights, load, calls: times, memoryLoaded, memoryCalled: megabytes(), sample };
}

/** One row of what a graph takes: small numbers, and tokens that are in every codebook. */
function array(dtype: string, dims: readonly (number | string)[]): Arrays[string] {
  const shape = dims.map((one) => (typeof one === "number" ? one : 1));
  const size = shape.reduce((product, one) => product * one, 1);
  if (dtype === "uint8") return { data: new Uint8Array(size).fill(128), shape };
  if (dtype === "float32") return { data: Float32Array.from({ length: size }, (_, i) => Math.sin(i)), shape };
  return { data: Int32Array.from({ length: size }, (_, i) => i % 17), shape };
}
