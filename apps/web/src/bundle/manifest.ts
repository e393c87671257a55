/** `manifest.json`: what a bundle is, what its graphs take and give, and how it draws by default. */

import type { SamplerSettings } from "../sampling/options.js";
import type { FileEntry, GraphEntry } from "./graph-entry.js";

export const SCHEMA_VERSION = 1;
export const MANIFEST_NAME = "manifest.json";
export const TOKENIZER_NAME = "tokenizer.json";
export const GOLDEN_NAME = "golden.json";

export const ROLES = ["text_encoder", "conditioner", "denoiser", "image_decoder", "image_encoder"] as const;
export type Role = (typeof ROLES)[number];

export const OPTIMIZATIONS = ["portable", "cpu"] as const;
export type Optimization = (typeof OPTIMIZATIONS)[number];

/** Where the weights come from. */
export interface ModelInfo {
  readonly name: string;
  readonly source: string;
  readonly license: string;
}

/** Sizes that belong together: pixels, tokens and codes. */
export interface Geometry {
  readonly imageHeight: number;
  readonly imageWidth: number;
  readonly gridHeight: number;
  readonly gridWidth: number;
  /** Codes a token can have; logits have this many columns. */
  readonly codebookSize: number;
  /** The id of a masked token, outside the codebook. */
  readonly maskTokenId: number;
  /** Ids per prompt. */
  readonly textLength: number;
}

/** The micro-conditions beside the picture's size: crop offset in pixels, aesthetic score; each from -1e9 to 1e9. */
export interface MicroConditioning {
  readonly cropTop: number;
  readonly cropLeft: number;
  readonly aestheticScore: number;
}

/** The engine that runs the graphs. */
export interface EngineInfo {
  readonly name: string;
  /** The one that parity was checked with. */
  readonly version: string;
  readonly oldestTried: string;
  /** "portable", or "cpu": operators and codes that ONNX Runtime computes fastest on CPUs. */
  readonly optimize: Optimization;
}

export interface Manifest {
  /** "onnx"; "coreml" bundles are read, and refused when a graph is loaded. */
  readonly target: string;
  readonly model: ModelInfo;
  readonly geometry: Geometry;
  /** Default settings of the loop. */
  readonly sampler: SamplerSettings;
  readonly microConditioning: MicroConditioning;
  readonly engine: EngineInfo;
  /** Files that belong to no graph, by name. */
  readonly files: Readonly<Record<string, FileEntry>>;
  /** By role. */
  readonly graphs: Readonly<Record<string, GraphEntry>>;
}

/** Return every file of the bundle but the manifest itself. */
export function allFiles(manifest: Manifest): FileEntry[] {
  return [...Object.values(manifest.files), ...Object.values(manifest.graphs).flatMap((graph) => [...graph.files])];
}
