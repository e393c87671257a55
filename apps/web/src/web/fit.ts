/**
 * Whether a bundle fits into memory, told from the sizes in its manifest, before anything is fetched.
 *
 * Measured with onnxruntime-web 1.30 (test/fullsize): an engine holds more than the weights, because it lays them out
 * anew for its products, and turns halves into float32. The factors lie a little above what was seen.
 */

import type { GraphEntry } from "../bundle/graph-entry.js";
import type { Manifest } from "../bundle/manifest.js";
import { ProviderError } from "../errors.js";

/** What drawing takes at its peak, in bytes. */
export interface MemoryNeeds {
  /** Of WebAssembly's memory, which ends at 4 GiB, for the CPU as for the graphics card. */
  readonly engine: number;
  /** Of all: beside it, the file of weights that is being loaded. */
  readonly peak: number;
}

const GIB = 2 ** 30;
const ENGINE_LIMIT = 4 * GIB;

/** Of the engine alone. */
const EMPTY = 24e6;
/** Bytes in memory per byte of a file, by what it stores. */
const OF_FLOATS = 1.6;
const OF_HALVES = 3.4;
const OF_CODES = 1.8;
/** Of the decoder's tensors, by pixel. */
const PER_PIXEL = 6100;

/** Browsers do not tell of more. */
const DEVICE_LIMIT = 8;

/** Return what a bundle takes, with all of its graphs in memory at once (`keepGraphs`), or one at a time. */
export function memoryNeeds(manifest: Manifest, keepGraphs = false): MemoryNeeds {
  const { imageHeight, imageWidth } = manifest.geometry;
  const working = imageHeight * imageWidth * PER_PIXEL;
  const graphs = Object.entries(manifest.graphs).map(([role, graph]) => ({
    held: graphBytes(graph) * factor(graph),
    working: role.startsWith("image_") ? working : 0,
    file: Math.max(...graph.files.map((file) => file.bytes)),
  }));
  const most = (of: (graph: (typeof graphs)[number]) => number): number => Math.max(...graphs.map(of));
  if (keepGraphs) {
    const engine = EMPTY + working + graphs.reduce((sum, graph) => sum + graph.held, 0);
    return { engine, peak: engine + most((graph) => graph.file) };
  }
  const engine = EMPTY + most((graph) => graph.held + graph.working);
  return { engine, peak: EMPTY + most((graph) => graph.held + Math.max(graph.working, graph.file)) };
}

/** Throw `ProviderError` if a bundle does not fit into 4 GiB, or into what the device is known to have. */
export function checkMemory(manifest: Manifest, keepGraphs: boolean, limit: number = deviceMemory()): void {
  const { engine, peak } = memoryNeeds(manifest, keepGraphs);
  const needs = `${manifest.model.name} needs about ${gigabytes(peak)} of memory`;
  const instead = keepGraphs
    ? "leave out keepGraphs, or take a smaller recipe"
    : "take a smaller recipe, such as w8 or w4";
  if (engine > ENGINE_LIMIT) {
    throw new ProviderError(`${needs}, ${gigabytes(engine)} of it WebAssembly's, which ends at 4.3 GB; ${instead}`);
  }
  if (peak > limit) {
    throw new ProviderError(`${needs}, and may take ${gigabytes(limit)} here; ${instead}`);
  }
}

function graphBytes(graph: GraphEntry): number {
  return graph.files.reduce((sum, file) => sum + file.bytes, 0);
}

/** Bytes in memory per byte of a graph's files, by what most of it is stored in. */
function factor({ storedPrecision }: GraphEntry): number {
  if (!storedPrecision.includes("bits")) {
    return OF_FLOATS;
  }
  return storedPrecision.startsWith("16 bits") ? OF_HALVES : OF_CODES;
}

/** What the browser says that the device has, in bytes; no bound where it says nothing, or its most. */
function deviceMemory(): number {
  const { deviceMemory: said } = navigator as { deviceMemory?: number };
  return said === undefined || said >= DEVICE_LIMIT ? Number.POSITIVE_INFINITY : said * GIB;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
