/**
 * `manifest.json`: what a bundle is, what its graphs take and give, and what was measured when it was made.
 *
 * Reading is strict: a manifest that does not say all of this, or names a file outside its folder, is refused.
 */

import { BundleError, OptionsError, quoted } from "../errors.js";
import { checkedSettings, type SamplerSettings } from "../sampling/options.js";
import { type FileEntry, type GraphEntry, readFile, readGraph } from "./graph-entry.js";
import { type Json, parseJson } from "./json.js";
import { DAMAGED, Fields } from "./json-fields.js";
import {
  type Parity,
  type Quantization,
  readParity,
  readQuantization,
  readSimulated,
  type Simulated,
} from "./measurements.js";

/** Above any size that a geometry can have. */
const LIMIT = 2 ** 20;

/** Far above any pixel or score, far below what float32 would turn into infinity. */
const MICRO_LIMIT = 1e9;

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
  /** Versions of the packages that made the bundle. */
  readonly tools: { readonly [name: string]: Json };
  /** Of a bundle made by export: measured against the checkpoint. */
  readonly parity: Parity | undefined;
  /** Of a quantized bundle: how it was made and what it cost. */
  readonly quantization: Quantization | undefined;
  /** In place of what could not be measured, because the engine does not run where the bundle was made. */
  readonly simulated: Simulated | undefined;
}

/**
 * Parse and check the text of `manifest.json`; throws `BundleError` if it is no manifest, of a newer schema,
 * incomplete, or names a file outside the bundle.
 */
export function readManifest(text: string): Manifest {
  const fields = new Fields(parsed(text), MANIFEST_NAME);
  const version = fields.get("schema_version", "int");
  if (version > SCHEMA_VERSION) {
    throw new BundleError(
      `the bundle has schema version ${version}, this amused-edge reads up to ${SCHEMA_VERSION}; upgrade amused-edge`,
    );
  }
  if (version < 1) {
    throw new BundleError(`${MANIFEST_NAME}: there is no schema version ${version}; ${DAMAGED}`);
  }
  const part = <T>(name: string, read: (fields: Fields) => T): T | undefined => {
    const found = fields.optional(name);
    return found && read(found);
  };
  return {
    target: fields.get("target", "string"),
    model: readModel(fields.child("model")),
    geometry: readGeometry(fields.child("geometry")),
    sampler: ofBundle("sampler", () => readSettings(fields.child("sampler"))),
    microConditioning: ofBundle("micro_conditioning", () => readMicroConditioning(fields.child("micro_conditioning"))),
    engine: readEngine(fields.child("engine")),
    files: fields.table("files", readFile),
    graphs: fields.table("graphs", readGraph),
    tools: fields.get("tools", "object"),
    parity: part("parity", readParity),
    quantization: part("quantization", readQuantization),
    simulated: part("simulated", readSimulated),
  };
}

function parsed(text: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    throw new BundleError(`${MANIFEST_NAME} is not JSON (${(error as Error).message}); make the bundle again`);
  }
}

/** Return what `read` returns; what it says of an option is said of the manifest. */
function ofBundle<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof OptionsError ? new BundleError(`${MANIFEST_NAME}: ${name}: ${error.message}`) : error;
  }
}

function readModel(fields: Fields): ModelInfo {
  return {
    name: fields.get("name", "string"),
    source: fields.get("source", "string"),
    license: fields.get("license", "string"),
  };
}

function readGeometry(fields: Fields): Geometry {
  const size = (name: string): number => {
    const value = fields.get(name, "int");
    if (!(value > 0 && value < LIMIT)) {
      throw new BundleError(`the geometry's ${name} is ${value}; it must be between 1 and ${LIMIT - 1}`);
    }
    return value;
  };
  const geometry = {
    imageHeight: size("image_height"),
    imageWidth: size("image_width"),
    gridHeight: size("grid_height"),
    gridWidth: size("grid_width"),
    codebookSize: size("codebook_size"),
    maskTokenId: size("mask_token_id"),
    textLength: size("text_length"),
  };
  if (geometry.maskTokenId < geometry.codebookSize) {
    throw new BundleError(`mask_token_id ${geometry.maskTokenId} is one of the ${geometry.codebookSize} codes`);
  }
  return geometry;
}

/** Parse settings of the loop; whole numbers count as others where these may be. */
export function readSettings(fields: Fields): SamplerSettings {
  const plain = (value: Json): unknown =>
    typeof value === "bigint" ? Number(value) : Array.isArray(value) ? value.map(plain) : value;
  const steps = fields.raw("steps");
  const given = {
    steps: typeof steps === "number" ? String(steps) : steps, // 12.0 is no whole number in a file
    guidanceScale: plain(fields.raw("guidance_scale")),
    temperature: plain(fields.raw("temperature")),
    schedule: fields.raw("schedule"),
    guidanceRamp: fields.raw("guidance_ramp"),
    guidanceInterval: plain(fields.raw("guidance_interval")),
    order: fields.raw("order"),
  };
  return checkedSettings(given, inFiles);
}

/** Return what files call a value: `guidance_scale` of `guidanceScale`. */
function inFiles(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Parse micro-conditions. */
export function readMicroConditioning(fields: Fields): MicroConditioning {
  const given = {
    cropTop: fields.get("crop_top", "float"),
    cropLeft: fields.get("crop_left", "float"),
    aestheticScore: fields.get("aesthetic_score", "float"),
  };
  return checkedMicroConditioning(given, inFiles);
}

/**
 * Return micro-conditions with every value checked.
 *
 * @param called what errors call a value
 */
export function checkedMicroConditioning(
  given: MicroConditioning,
  called: (name: string) => string = (name) => name,
): MicroConditioning {
  const number = (name: keyof MicroConditioning): number => {
    const value: unknown = given[name];
    if (typeof value !== "number" || !(Math.abs(value) <= MICRO_LIMIT)) {
      throw new OptionsError(`${called(name)} is ${quoted(value)}; it must be a number from -1e9 to 1e9`);
    }
    return value;
  };
  return { cropTop: number("cropTop"), cropLeft: number("cropLeft"), aestheticScore: number("aestheticScore") };
}

function readEngine(fields: Fields): EngineInfo {
  const optimize = fields.get("optimize", "string");
  if (!(OPTIMIZATIONS as readonly string[]).includes(optimize)) {
    throw new BundleError(
      `${MANIFEST_NAME}: optimize is ${quoted(optimize)}; this amused-edge knows ${OPTIMIZATIONS.join(", ")}; ` +
        "upgrade it",
    );
  }
  return {
    name: fields.get("name", "string"),
    version: fields.get("version", "string"),
    oldestTried: fields.get("oldest_tried", "string"),
    optimize: optimize as Optimization,
  };
}

/** Return every file of the bundle but the manifest itself. */
export function allFiles(manifest: Manifest): FileEntry[] {
  return [...Object.values(manifest.files), ...Object.values(manifest.graphs).flatMap((graph) => [...graph.files])];
}
