/** ONNX Runtime, whichever package it comes in: loads `.onnx` files with their weights beside them. */

import { type Bundle, graphEntry } from "../bundle/bundle.js";
import type { FileEntry, GraphEntry } from "../bundle/graph-entry.js";
import type { Role } from "../bundle/manifest.js";
import { AmusedEdgeError, BundleError, firstLine, GraphError, quoted } from "../errors.js";
import { externalData } from "./external-data.js";
import { type Arrays, checkInputs, type Graph, hasStaticBatch, type NdArray, OneByOne } from "./graph.js";
import type { CheckedEngineOptions } from "./options.js";
import type { Ort, OrtSession, OrtTensor } from "./ort.js";
import { inTurn } from "./queue.js";

/** Load the graph of a role for any batch. */
export async function loadGraph(bundle: Bundle, role: Role, ort: Ort, options: CheckedEngineOptions): Promise<Graph> {
  const { target } = bundle.manifest;
  if (target !== "onnx") {
    throw new BundleError(
      `bundle ${bundle.source.name} has the target ${quoted(target)}, which this amused-edge cannot run; export it for ONNX`,
    );
  }
  const entry = graphEntry(bundle, role);
  const session = await openSession(bundle, role, ort, options);
  const graph = new OnnxGraph(role, entry, ort, session);
  return hasStaticBatch(entry) ? new OneByOne(graph) : graph;
}

async function openSession(bundle: Bundle, role: Role, ort: Ort, options: CheckedEngineOptions): Promise<OrtSession> {
  const { source } = bundle;
  const [model, ...weights] = graphEntry(bundle, role).files;
  const bytes = await source.read(model.path, { expected: model });
  checkExternalData(bundle, model, weights, bytes);
  const place = source.locate?.(model.path);
  const settings: Record<string, unknown> = sessionOptions(options);
  if (place === undefined && weights.length) {
    const folder = folderOf(model.path);
    const data: { path: string; data: Uint8Array }[] = [];
    for (const file of weights) {
      const content = await source.read(file.path, { expected: file });
      data.push({ path: file.path.slice(folder.length), data: content });
    }
    settings.externalData = data;
  }
  try {
    return await inTurn(ort, () => ort.InferenceSession.create(place ?? bytes, settings));
  } catch (error) {
    throw new GraphError(
      `onnxruntime cannot load ${model.path} of ${source.name}: ${firstLine(error)}; verify the bundle with ` +
        "`amused-edge inspect --verify`",
      { cause: error },
    );
  }
}

function sessionOptions(options: CheckedEngineOptions): Record<string, unknown> {
  const { executionProviders, threads, keepGraphs } = options;
  return {
    ...(executionProviders && { executionProviders }),
    ...(threads !== undefined && { intraOpNumThreads: threads }),
    ...(!keepGraphs && { enableCpuMemArena: false, enableMemPattern: false }),
    logSeverityLevel: 3,
    ...options.sessionOptions,
  };
}

/** The model may read weights only from files that the manifest lists for it, and not past their end. */
function checkExternalData(bundle: Bundle, model: FileEntry, weights: readonly FileEntry[], bytes: Uint8Array): void {
  const name = `${model.path} of ${bundle.source.name}`;
  const sizes = new Map(weights.map((file) => [file.path, file.bytes]));
  let references: ReturnType<typeof externalData>;
  try {
    references = externalData(bytes);
  } catch (error) {
    throw new BundleError(`${name} is not an ONNX model: ${(error as Error).message}; copy the bundle again`);
  }
  for (const { location, offset, length } of references) {
    const size = sizes.get(folderOf(model.path) + location);
    if (size === undefined) {
      throw new BundleError(
        `${name} reads weights from ${quoted(location)}, which the manifest does not list; do not use this bundle`,
      );
    }
    if (Math.min(offset, length) < 0 || offset + length > size) {
      throw new BundleError(`${name} reads past the end of ${quoted(location)}; copy the bundle again`);
    }
  }
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** One role of a bundle in an ONNX Runtime session. */
class OnnxGraph implements Graph {
  readonly #role: Role;
  readonly #entry: GraphEntry;
  readonly #ort: Ort;
  #session: OrtSession | undefined;

  constructor(role: Role, entry: GraphEntry, ort: Ort, session: OrtSession) {
    this.#role = role;
    this.#entry = entry;
    this.#ort = ort;
    this.#session = session;
  }

  run(inputs: Arrays): Promise<Arrays> {
    return inTurn(this.#ort, () => this.#run(inputs));
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session) {
      await inTurn(this.#ort, () => session.release());
    }
  }

  async #run(inputs: Arrays): Promise<Arrays> {
    const session = this.#session;
    if (session === undefined) {
      throw new GraphError(`${this.#role} was closed; make a new pipeline`);
    }
    checkInputs(this.#role, this.#entry, inputs);
    const feeds = this.#entry.inputs.map(({ name, dtype }) => [name, this.#tensor(name, dtype, inputs[name])]);
    try {
      const results: Record<string, OrtTensor> = await session.run(Object.fromEntries(feeds));
      const outputs: [string, NdArray][] = [];
      for (const { name } of this.#entry.outputs) {
        outputs.push([name, await this.#array(name, results[name])]);
      }
      return Object.fromEntries(outputs);
    } catch (error) {
      throw error instanceof AmusedEdgeError
        ? error
        : new GraphError(`onnxruntime failed in ${this.#role}: ${firstLine(error)}`, { cause: error });
    }
  }

  #tensor(name: string, dtype: string, { data, shape }: NdArray): OrtTensor {
    const whole = data instanceof Int32Array;
    if (whole && dtype === "int64") {
      return new this.#ort.Tensor(dtype, BigInt64Array.from(data, BigInt), shape);
    }
    const given = whole ? "int32" : data instanceof Float32Array ? "float32" : "uint8";
    if (given !== dtype) {
      throw new GraphError(`${this.#role}: ${name} is ${given}, the graph takes ${dtype}`);
    }
    return new this.#ort.Tensor(dtype, data, shape);
  }

  async #array(name: string, tensor: OrtTensor | undefined): Promise<NdArray> {
    const found: unknown = tensor && (tensor.getData ? await tensor.getData() : tensor.data);
    const data = found instanceof BigInt64Array ? Int32Array.from(found, Number) : found;
    const known = data instanceof Float32Array || data instanceof Int32Array || data instanceof Uint8Array;
    if (!tensor || !known) {
      throw new GraphError(`${this.#role} does not return ${quoted(name)} as its manifest says; verify the bundle`);
    }
    return { data, shape: tensor.dims };
  }
}
