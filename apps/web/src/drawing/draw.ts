/** How a bundle's graphs draw a picture: its start, its steps, its pixels. */

import { type Bundle, graphEntry } from "../bundle/bundle.js";
import type { Geometry } from "../bundle/manifest.js";
import { breathe, check } from "../cancellation.js";
import { type Arrays, type Graph, mapArrays, type NdArray, rowsOf, stack } from "../engines/graph.js";
import type { GraphStore } from "../engines/graph-store.js";
import { GraphError, OptionsError, quoted, StateError } from "../errors.js";
import type { RgbImage } from "../pictures/image.js";
import { type Denoise, type GuidedLogits, maskPredict, type Step } from "../sampling/mask-predict.js";
import { guidanceAt, isGuided, type SamplerSettings } from "../sampling/options.js";
import { guide } from "../sampling/sampler.js";
import type { Task } from "../tasks/kinds.js";
import { taskRecord } from "../tasks/record.js";
import type { Picture } from "../tasks/result.js";
import { type PictureState, stateAfter } from "../tasks/state.js";
import { Canvas } from "./canvas.js";
import { microConditions, type OnWarning, type PromptConditioner } from "./conditioning.js";

/** Called after every step with the picture's place and the step. */
export type OnStep = (picture: number, step: Step) => void | Promise<void>;

/** Draws with the graphs of a bundle; several calls may run at the same time. */
export class Drawing {
  readonly #bundle: Bundle;
  readonly #geometry: Geometry;
  readonly #graphs: GraphStore;
  readonly #conditioner: PromptConditioner;
  readonly #canvas: Canvas;

  constructor(bundle: Bundle, graphs: GraphStore, conditioner: PromptConditioner, warn: OnWarning) {
    this.#bundle = bundle;
    this.#geometry = bundle.manifest.geometry;
    this.#graphs = graphs;
    this.#conditioner = conditioner;
    this.#canvas = new Canvas(this.#geometry, (image, signal) => this.encode(image, signal), warn);
  }

  /** Return the first state of the task of one picture. */
  async begin(task: Task, seed: bigint, settings: SamplerSettings, signal?: AbortSignal): Promise<PictureState> {
    const begun = await this.#canvas.begin(task, seed, settings, signal);
    const { manifest, sha256 } = this.#bundle;
    return {
      parameters: { bundleName: manifest.model.name, bundleSha256: sha256, task: taskRecord(task), seed, settings },
      nextStep: begun.firstStep,
      gridHeight: this.#geometry.gridHeight,
      gridWidth: this.#geometry.gridWidth,
      tokens: begun.tokens,
      probability: new Float32Array(begun.tokens.length).fill(1),
      startingMaskRatio: begun.startingMaskRatio,
    };
  }

  /** Draw pictures of one prompt one after the other, and yield their finished states. */
  async *draw(
    tasks: readonly Task[],
    seed: bigint,
    settings: SamplerSettings,
    onStep: OnStep,
    signal?: AbortSignal,
  ): AsyncGenerator<PictureState, void, undefined> {
    check(signal);
    const first = await this.begin(tasks[0], seed, settings, signal);
    if (first.nextStep === settings.steps) {
      yield first;
      for (const task of tasks.slice(1)) {
        yield await this.begin(task, seed, settings, signal);
      }
      return;
    }
    const conditioning = await this.conditioning(tasks[0], settings, signal);
    await this.#graphs.acquire("denoiser"); // for all of them
    try {
      for (const [place, task] of tasks.entries()) {
        let state = place === 0 ? first : await this.begin(task, seed, settings, signal);
        for await (const step of this.steps([state], [conditioning], signal)) {
          state = stateAfter(state, step);
          await onStep(place, step);
        }
        yield state;
      }
    } finally {
      await this.#graphs.release("denoiser");
    }
  }

  /**
   * Run pictures side by side; each makes calls of the denoiser of its own (one for a guidance pair).
   *
   * Their seed and settings are the first one's. A picture that is finished stays as it is.
   */
  async *steps(
    states: readonly PictureState[],
    conditionings: readonly Arrays[],
    signal?: AbortSignal,
  ): AsyncGenerator<Step, void, undefined> {
    const { seed, settings } = states[0].parameters;
    const firstStep = Math.min(...states.map((state) => state.nextStep));
    check(signal);
    if (firstStep === settings.steps) {
      return;
    }
    const denoiser = await this.#graphs.acquire("denoiser");
    try {
      const denoise: Denoise = async (place, step, tokens) => {
        await breathe(signal);
        const logits = await this.guidedLogits(denoiser, tokens, conditionings[place], guidanceAt(settings, step));
        check(signal);
        return logits;
      };
      const begun = states.map((state) => ({ ...state, picture: state.parameters.task.picture }));
      yield* maskPredict(denoise, begun, { seed, settings, ...this.#geometry }, firstStep);
    } finally {
      await this.#graphs.release("denoiser");
    }
  }

  /** Return the picture of a finished state. */
  async finish(state: PictureState, task: Task, signal?: AbortSignal): Promise<Picture> {
    const image = await this.#canvas.finish(task, () => this.decode(state.tokens, signal));
    const { tokens, probability, parameters } = state;
    return { image, tokens, probability, prompt: task.prompts[0], parameters };
  }

  /** Return the conditioning of [negative prompt, prompt] with guidance, else of the prompt alone. */
  async conditioning(task: Task, settings: SamplerSettings, signal?: AbortSignal): Promise<Arrays> {
    const values = task.microConditioning ?? this.#bundle.manifest.microConditioning;
    const prompts = isGuided(settings) ? [task.negativePrompts[0], task.prompts[0]] : [task.prompts[0]];
    return stack(await this.#conditioner.condition(prompts, microConditions(this.#geometry, values), signal));
  }

  /**
   * Run the denoiser on one grid.
   *
   * @param conditioning of [negative prompt, prompt], or of the prompt alone
   * @param scale above 1, both are asked; else the prompt alone
   */
  async guidedLogits(denoiser: Graph, tokens: Int32Array, conditioning: Arrays, scale: number): Promise<GuidedLogits> {
    const { gridHeight, gridWidth, codebookSize } = this.#geometry;
    const guided = scale > 1;
    const alone = (array: NdArray): NdArray => rowsOf(array, array.shape[0] - 1, array.shape[0]);
    const grid = { data: tokens, shape: [1, gridHeight, gridWidth] };
    const [tokenRows, chosen] = guided
      ? [stack([{ grid }, { grid }]).grid, conditioning]
      : [grid, mapArrays(conditioning, alone)];
    const { data } = (await denoiser.run({ ...chosen, tokens: tokenRows })).logits;
    const size = tokens.length * codebookSize;
    if (!(data instanceof Float32Array) || data.length !== (guided ? 2 : 1) * size) {
      throw new GraphError(`the denoiser returned ${data.length} logits, not ${size} a row; verify the bundle`);
    }
    if (!guided) {
      return (position, row) => row.set(data.subarray(position * codebookSize, (position + 1) * codebookSize));
    }
    const [unconditional, conditional] = [data.subarray(0, size), data.subarray(size)];
    return (position, row) => guide(unconditional, conditional, position * codebookSize, scale, row);
  }

  /** Turn a picture of the bundle's size into tokens. */
  async encode(image: RgbImage, signal?: AbortSignal): Promise<Int32Array> {
    const { imageHeight, imageWidth } = this.#geometry;
    if (image.width !== imageWidth || image.height !== imageHeight) {
      throw new OptionsError(
        `the picture has ${image.width}x${image.height} pixels; the bundle takes ${imageWidth}x${imageHeight}`,
      );
    }
    return this.#graphs.use("image_encoder", async (encoder) => {
      await breathe(signal);
      const given = { image: { data: image.data, shape: [1, imageHeight, imageWidth, 3] } };
      const { data } = (await encoder.run(given)).tokens;
      return Int32Array.from(data);
    });
  }

  /** Turn finished tokens into a picture. */
  async decode(tokens: Int32Array, signal?: AbortSignal): Promise<RgbImage> {
    const { gridHeight, gridWidth, codebookSize, imageWidth, imageHeight } = this.#geometry;
    if (!(tokens instanceof Int32Array) || tokens.length !== gridHeight * gridWidth) {
      throw new OptionsError(`tokens are ${quoted(tokens?.length)}; give an Int32Array of ${gridHeight}x${gridWidth}`);
    }
    const wrong = tokens.find((token) => token < 0 || token >= codebookSize);
    if (wrong !== undefined) {
      throw new OptionsError(
        `a token is ${wrong}; the codebook has 0 to ${codebookSize - 1} (is the picture finished?)`,
      );
    }
    return this.#graphs.use("image_decoder", async (decoder) => {
      await breathe(signal);
      const given = { tokens: { data: tokens, shape: [1, gridHeight, gridWidth] } };
      const { data } = (await decoder.run(given)).image;
      check(signal);
      if (!(data instanceof Uint8Array) || data.length !== 3 * imageWidth * imageHeight) {
        throw new GraphError(`the image decoder returned ${data.length} bytes; verify the bundle`);
      }
      return { width: imageWidth, height: imageHeight, data };
    });
  }

  /** Throw `OptionsError` for what this bundle cannot draw, before any graph is loaded. */
  checkTask(task: Task): void {
    this.#canvas.check(task);
    const sizes = new Map(graphEntry(this.#bundle, "conditioner").inputs.map((spec) => [spec.name, spec.shape]));
    for (const prompt of [...task.prompts, ...task.negativePrompts]) {
      if (typeof prompt !== "string") {
        const found = { hidden_states: prompt.shape, pooled: [prompt.pooled.length] };
        for (const [name, shape] of Object.entries(found)) {
          const expected = sizes.get(name)?.slice(1);
          if (String(shape) !== String(expected)) {
            throw new OptionsError(
              `${name} of prompt embeddings have shape ${quoted(shape)}; this bundle takes ${quoted(expected)}`,
            );
          }
        }
      }
    }
  }

  /** Throw `StateError` if a state cannot have come from this bundle. */
  checkState(state: PictureState): void {
    const { gridHeight, gridWidth, codebookSize, maskTokenId } = this.#geometry;
    const { bundleName, bundleSha256, settings } = state.parameters;
    if (bundleSha256 !== this.#bundle.sha256) {
      throw new StateError(
        `the state is of the bundle ${quoted(bundleName)} with hash ${quoted(bundleSha256.slice(0, 12))}, this one has ` +
          `${this.#bundle.sha256.slice(0, 12)}; use the same bundle`,
      );
    }
    const known = state.tokens.filter((token) => token !== maskTokenId);
    const fits = state.gridHeight === gridHeight && state.gridWidth === gridWidth;
    if (!fits || known.some((token) => token < 0 || token >= codebookSize)) {
      throw new StateError("the state holds tokens that the bundle does not have; begin the picture again");
    }
    if (state.nextStep === settings.steps && known.length < state.tokens.length) {
      throw new StateError("the state is finished and has tokens that are masked; begin the picture again");
    }
  }

  /** Drop what is remembered of prompts and pictures, and remember nothing more. */
  close(): void {
    this.#conditioner.close();
    this.#canvas.close();
  }
}
