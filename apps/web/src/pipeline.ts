/** The public pipeline: a bundle opened for drawing. */

import { type Bundle, openBundle, readText, verify } from "./bundle/bundle.js";
import { type Golden, readGolden } from "./bundle/golden.js";
import { GOLDEN_NAME, type Manifest, TOKENIZER_NAME } from "./bundle/manifest.js";
import type { Source } from "./bundle/source.js";
import { PromptConditioner } from "./drawing/conditioning.js";
import { Drawing } from "./drawing/draw.js";
import { TaskDrawing } from "./drawing/task-drawing.js";
import { PromptTokenizer } from "./drawing/tokenizer.js";
import { GraphStore } from "./engines/graph-store.js";
import { loadGraph } from "./engines/onnx-session.js";
import { type EngineOptions, engineOptions } from "./engines/options.js";
import type { Ort } from "./engines/ort.js";
import { checkProviders } from "./engines/providers.js";
import { BundleError, StateError } from "./errors.js";
import { compareGolden, type GoldenReport } from "./golden-check.js";
import type { RgbImage } from "./pictures/image.js";
import { readImage } from "./pictures/sources.js";
import type { Step } from "./sampling/mask-predict.js";
import { checkedSeed, type GenerationOptions, type SamplerSettings, settingsOf } from "./sampling/options.js";
import { type PromptEmbeddings, promptEmbeddings } from "./tasks/embeddings.js";
import { asTask, type PromptsOrTask, picturesOf, single, type Task, textToImage } from "./tasks/kinds.js";
import { restoreTask } from "./tasks/parameters.js";
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
export class AmusedPipeline implements Pipeline {
  readonly manifest: Manifest;
  readonly bundleSha256: string;
  readonly #bundle: Bundle;
  readonly #graphs: GraphStore;
  readonly #tokenizer: PromptTokenizer;
  readonly #conditioner: PromptConditioner;
  readonly #drawing: Drawing;
  readonly #tasks: TaskDrawing;

  private constructor(bundle: Bundle, tokenizer: PromptTokenizer, options: OpenOptions) {
    const engine = engineOptions(options);
    const warn = options.onWarning ?? ((message) => console.warn(`amused-edge: ${message}`));
    this.manifest = bundle.manifest;
    this.bundleSha256 = bundle.sha256;
    this.#bundle = bundle;
    this.#tokenizer = tokenizer;
    this.#graphs = new GraphStore((role) => loadGraph(bundle, role, options.ort, engine), engine.keepGraphs);
    this.#conditioner = new PromptConditioner(tokenizer, this.#graphs, engine.rememberedPrompts, warn);
    this.#drawing = new Drawing(bundle, this.#graphs, this.#conditioner, warn);
    this.#tasks = new TaskDrawing(this.#drawing, this.#graphs);
  }

  /**
   * Open a bundle for drawing: read and check its manifest, its files' presence, sizes and hashes.
   *
   * @throws BundleError if it is incomplete or damaged; ProviderError if a provider would compute it wrongly
   */
  static async open(source: Source, options: OpenOptions): Promise<AmusedPipeline> {
    engineOptions(options);
    const bundle = await openBundle(source, options.signal);
    checkProviders(bundle.manifest, options.executionProviders);
    if (options.verify ?? true) {
      await verify(bundle, options.signal);
    }
    const text = await readText(bundle, TOKENIZER_NAME, options.signal);
    return new AmusedPipeline(bundle, new PromptTokenizer(text, bundle.manifest.geometry.textLength), options);
  }

  async close(): Promise<void> {
    await this.#graphs.close();
    this.#drawing.close();
    await this.#bundle.source.close?.();
  }

  // --- Whole pictures.

  async generate(task: PromptsOrTask, options: GenerateOptions = {}): Promise<Picture[]> {
    const drawn: Picture[] = [];
    for await (const picture of this.pictures(task, options)) {
      drawn.push(picture);
    }
    return drawn;
  }

  pictures(task: PromptsOrTask, options: GenerateOptions = {}): AsyncGenerator<Picture, void, undefined> {
    const checked = this.#checked(task);
    const settings = this.settings(options, checked);
    return this.#tasks.pictures(checked, checkedSeed(options.seed ?? 0), settings, options.onStep, options.signal);
  }

  async finish(state: PictureState, task?: PromptsOrTask, { signal }: RunOptions = {}): Promise<Picture> {
    this.#drawing.checkState(state);
    const left = state.parameters.settings.steps - state.nextStep;
    if (left) {
      throw new StateError(`the picture has ${left} steps to go; resume it first`);
    }
    return this.#drawing.finish(state, restore(state, task), signal);
  }

  // --- Step by step.

  stream(task: PromptsOrTask, options: GenerationOptions & RunOptions = {}): AsyncGenerator<Step, void, undefined> {
    const checked = this.#checked(task);
    const settings = this.settings(options, checked);
    return this.#tasks.steps(checked, checkedSeed(options.seed ?? 0), settings, options.signal);
  }

  async begin(task: PromptsOrTask, options: GenerationOptions & RunOptions = {}): Promise<PictureState[]> {
    const checked = this.#checked(task);
    const settings = this.settings(options, checked);
    return this.#tasks.begin(checked, checkedSeed(options.seed ?? 0), settings, options.signal);
  }

  resume(
    state: PictureState,
    task?: PromptsOrTask,
    { signal }: RunOptions = {},
  ): AsyncGenerator<Step, void, undefined> {
    this.#drawing.checkState(state);
    return this.#tasks.resume(state, restore(state, task), signal);
  }

  async preview(step: Step, { signal }: RunOptions = {}): Promise<RgbImage[]> {
    const images: RgbImage[] = [];
    for (const tokens of step.predicted) {
      images.push(await this.decode(tokens, { signal }));
    }
    return images;
  }

  // --- Parts.

  settings(options: GenerationOptions = {}, task?: Task): SamplerSettings {
    return settingsIn(this.manifest, options, task);
  }

  async decode(tokens: Int32Array, { signal }: RunOptions = {}): Promise<RgbImage> {
    return this.#drawing.decode(tokens, signal);
  }

  async encode(image: RgbImage, { signal }: RunOptions = {}): Promise<Int32Array> {
    return this.#drawing.encode(readImage(image), signal);
  }

  async embed(prompt: string, { signal }: RunOptions = {}): Promise<PromptEmbeddings> {
    const { hidden_states: hidden, pooled } = await this.#conditioner.encodeText(prompt, signal);
    return promptEmbeddings(hidden.data as Float32Array, hidden.shape[1], pooled.data as Float32Array);
  }

  async checkGolden({ signal }: RunOptions = {}): Promise<GoldenReport> {
    const golden = readGolden(await readText(this.#bundle, GOLDEN_NAME, signal));
    const [picture] = await this.generate(golden.prompt, { signal });
    return compareGolden(golden, {
      inputIds: this.#tokenizer.encode(golden.prompt).ids,
      logits: await this.#firstLogits(golden.prompt, signal),
      tokens: picture.tokens,
      image: await this.decode(this.#goldenTokens(golden), { signal }),
    });
  }

  // --- Inside. The public functions check their arguments at once; what they return runs when the caller iterates.

  /** Return the first row of unguided logits of the first step, where every token is masked. */
  async #firstLogits(prompt: string, signal: AbortSignal | undefined): Promise<Float32Array> {
    const { geometry } = this.manifest;
    const masked = new Int32Array(geometry.gridHeight * geometry.gridWidth).fill(geometry.maskTokenId);
    const unguided = { ...this.manifest.sampler, guidanceScale: 1 };
    const conditioning = await this.#drawing.conditioning(textToImage(prompt), unguided, signal);
    const row = new Float32Array(geometry.codebookSize);
    await this.#graphs.use("denoiser", async (denoiser) => {
      (await this.#drawing.guidedLogits(denoiser, masked, conditioning, 1))(0, row);
    });
    return row;
  }

  /** Return the stored tokens, or throw `BundleError` if they are no grid of this bundle's. */
  #goldenTokens({ tokens }: Golden): Int32Array {
    const { gridHeight, gridWidth, codebookSize } = this.manifest.geometry;
    const fit = tokens.length === gridHeight * gridWidth && tokens.every((token) => token >= 0 && token < codebookSize);
    if (!fit) {
      throw new BundleError("golden.json holds tokens that are no picture of this bundle; copy the bundle again");
    }
    return Int32Array.from(tokens);
  }

  /** Wrap prompts that were given bare, and check that the bundle can draw them. */
  #checked(task: PromptsOrTask): Task {
    const checked = asTask(task);
    this.#drawing.checkTask(checked);
    return checked;
  }
}

/** Return options with what they leave open filled in from a bundle's manifest; in-painting's schedule is linear. */
export function settingsIn(manifest: Manifest, options: GenerationOptions, task?: Task): SamplerSettings {
  const settings = settingsOf(options, manifest.sampler);
  return task?.kind === "inpainting" && options.schedule === undefined ? { ...settings, schedule: "linear" } : settings;
}

/** Return the task of a state, from itself or from the task that was given, of which it is a picture. */
function restore(state: PictureState, given: PromptsOrTask | undefined): Task {
  if (given === undefined) {
    return restoreTask(state.parameters, undefined);
  }
  const task = asTask(given);
  return restoreTask(
    state.parameters,
    picturesOf(task).map((place) => single(task, place)),
  );
}
