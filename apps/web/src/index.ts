/** The core: everything that needs no DOM, no Node and no engine of its own. */

export type { Golden, Tolerance } from "./bundle/golden.js";
export type { FileEntry, GraphEntry, TensorFormat, TensorSpec } from "./bundle/graph-entry.js";
export { allFiles, type Geometry, type Manifest, type MicroConditioning, type Role } from "./bundle/manifest.js";
export { MemorySource, type ReadOptions, type Source } from "./bundle/source.js";
export type { EngineOptions, ExecutionProvider } from "./engines/options.js";
export type { Ort, OrtSession, OrtTensor } from "./engines/ort.js";
export {
  AmusedEdgeError,
  BundleError,
  CancelledError,
  DownloadError,
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
export { AmusedPipeline, type GenerateOptions, type OpenOptions, type Pipeline, type RunOptions } from "./pipeline.js";
export type { Step } from "./sampling/mask-predict.js";
export type { GenerationOptions, Order, SamplerSettings } from "./sampling/options.js";
export type { GuidanceRamp, Schedule, Temperature } from "./sampling/schedule.js";
export type { Prompt, PromptEmbeddings } from "./tasks/embeddings.js";
export type {
  CommonOptions,
  Coverage,
  Fit,
  Inpainting,
  PromptsOrTask,
  Task,
  TextToImage,
  Variation,
} from "./tasks/kinds.js";
export type { PictureParameters, TaskRecord } from "./tasks/parameters.js";
export type { Picture } from "./tasks/result.js";
export { type PictureState, stateAfter } from "./tasks/state.js";
