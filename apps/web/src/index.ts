/** The core: everything that needs no DOM, no Node and no engine of its own. */

export { type Bundle, openBundle, verify } from "./bundle/bundle.js";
export type { Golden, Tolerance } from "./bundle/golden.js";
export type { FileEntry, GraphEntry, TensorFormat, TensorSpec } from "./bundle/graph-entry.js";
export {
  allFiles,
  type Geometry,
  type Manifest,
  type MicroConditioning,
  ROLES,
  type Role,
  readManifest,
} from "./bundle/manifest.js";
export { Sha256, sha256 } from "./bundle/sha256.js";
export { MemorySource, type ReadOptions, type Source } from "./bundle/source.js";
export type { EngineOptions, ExecutionProvider } from "./engines/options.js";
export type { Ort, OrtSession, OrtTensor } from "./engines/ort.js";
export {
  AmusedEdgeError,
  BundleError,
  CancelledError,
  DownloadError,
  type ErrorName,
  GenerationError,
  GraphError,
  InternalError,
  OptionsError,
  ProviderError,
  StateError,
  StorageError,
} from "./errors.js";
export type { GoldenReport } from "./golden-check.js";
export { type ImageSource, type RgbImage, rgba } from "./pictures/image.js";
export type { Coverage } from "./pictures/masks.js";
export type { Fit } from "./pictures/sources.js";
export { AmusedPipeline, type GenerateOptions, type OpenOptions, type Pipeline, type RunOptions } from "./pipeline.js";
export type { Step } from "./sampling/mask-predict.js";
export type { GenerationOptions, Order, SamplerSettings } from "./sampling/options.js";
export type { GuidanceRamp, Schedule, Temperature } from "./sampling/schedule.js";
export { type Prompt, type PromptEmbeddings, promptEmbeddings } from "./tasks/embeddings.js";
export {
  type CommonOptions,
  type Inpainting,
  type InpaintingOptions,
  inpainting,
  type OutpaintingOptions,
  outpainting,
  type PromptsOrTask,
  type Task,
  type TextToImage,
  textToImage,
  type Variation,
  type VariationOptions,
  variation,
} from "./tasks/kinds.js";
export {
  optionsOf,
  type PictureParameters,
  parametersFromText,
  parametersToText,
  rebuildTask,
} from "./tasks/parameters.js";
export type { TaskRecord } from "./tasks/record.js";
export type { Picture } from "./tasks/result.js";
export { type PictureState, stateAfter, stateFromText, stateToText } from "./tasks/state.js";
