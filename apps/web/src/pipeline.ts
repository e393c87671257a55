/** The public pipeline: a bundle opened for drawing. */

import type { Manifest } from "./bundle/manifest.js";
import type { Source } from "./bundle/source.js";
import type { EngineOptions } from "./engines/options.js";
import type { Ort } from "./engines/ort.js";
import { InternalError } from "./errors.js";
import type { GoldenReport } from "./golden-check.js";
import type { RgbImage } from "./pictures/image.js";
import type { Step } from "./sampling/mask-predict.js";
import type { GenerationOptions, SamplerSettings } from "./sampling/options.js";
import type { PromptEmbeddings } from "./tasks/embeddings.js";
import type { PromptsOrTask, Task } from "./tasks/kinds.js";
import type { Picture } from "./tasks/result.js";
import type { PictureState } from "./tasks/state.js";

export interface OpenOptions extends EngineOptions {
  /** The module that runs the graphs: onnxruntime-web, onnxruntime-node or onnxruntime-react-native. */
  ort: Ort;
  /** Check the hashes of all files, true by default. Sources that check them on the way may make it cheap. */
  verify?: boolean;
  /** Told what was done otherwise than a caller may think, as that a prompt was cut; by default `console.warn`. */
  onWarning?: (message: string) => void;
  signal?: AbortSignal | undefined;
}

export interface RunOptions {
  /** Stops the run between two calls of a graph, with `CancelledError`. */
  signal?: AbortSignal | undefined;
}

export interface GenerateOptions extends GenerationOptions, RunOptions {
  /** Called after each step of each picture, with the picture's place in the result; what it throws ends the run. */
  onStep?: (picture: number, step: Step) => void | Promise<void>;
}

/** What draws, here or behind a worker. */
export interface Pipeline {
  readonly manifest: Manifest;
  /** Hash of the manifest, which holds the hashes of all other files: the bundle's identity. */
  readonly bundleSha256: string;

  /** Draw all pictures of a task, one after the other. */
  generate(task: PromptsOrTask, options?: GenerateOptions): Promise<Picture[]>;
  /** Draw the pictures of a task and yield each when it is finished, so that memory does not grow with their number. */
  pictures(task: PromptsOrTask, options?: GenerateOptions): AsyncIterableIterator<Picture>;
  /** Yield each step of all pictures of a task side by side; stop whenever you like. */
  stream(task: PromptsOrTask, options?: GenerationOptions & RunOptions): AsyncIterableIterator<Step>;

  /** Return the state from which each picture of a task starts. With `stateAfter` it follows the steps. */
  begin(task: PromptsOrTask, options?: GenerationOptions & RunOptions): Promise<PictureState[]>;
  /** Yield the steps that a picture still needs: the same ones as without interruption. */
  resume(state: PictureState, task?: PromptsOrTask, options?: RunOptions): AsyncIterableIterator<Step>;
  /** Decode a finished state, and paste the untouched pixels back where its task asks for it. */
  finish(state: PictureState, task?: PromptsOrTask, options?: RunOptions): Promise<Picture>;

  /** Return what the pictures of a step would be if they were left as they are. */
  preview(step: Step, options?: RunOptions): Promise<RgbImage[]>;
  /** Turn finished tokens (h * w) into a picture. */
  decode(tokens: Int32Array, options?: RunOptions): Promise<RgbImage>;
  /** Turn a picture of the bundle's size into tokens (h * w). */
  encode(image: RgbImage, options?: RunOptions): Promise<Int32Array>;
  /** Return what the text encoder says of a prompt; it can be given in the prompt's place. */
  embed(prompt: string, options?: RunOptions): Promise<PromptEmbeddings>;
  /** Return the options with what they leave open filled in from the bundle; in-painting's schedule is linear. */
  settings(options?: GenerationOptions, task?: Task): SamplerSettings;

  /** Draw the bundle's golden picture and compare: whether this engine computes the bundle. */
  checkGolden(options?: RunOptions): Promise<GoldenReport>;
  /** Release all graphs and what is remembered; the pipeline cannot draw any more. */
  close(): Promise<void>;
}

/**
 * Draws pictures from a bundle. Graphs are loaded at first use. Several calls may run at the same time; their graphs
 * are called one after the other.
 */
export class AmusedPipeline {
  /** Open a bundle for drawing: read and check its manifest, its files' presence, sizes and hashes. */
  static async open(source: Source, options: OpenOptions): Promise<AmusedPipeline & Pipeline> {
    throw new InternalError(`not written yet: ${source.name} ${options}`);
  }
}
