/** What a task's own picture means for a bundle: the tokens that a run starts from, the pixels put back at its end. */

import type { Geometry } from "../bundle/manifest.js";
import type { RgbImage } from "../pictures/image.js";
import { pasteBack, pixelMask, tokenMask } from "../pictures/masks.js";
import { checkProportions, fitImage } from "../pictures/sources.js";
import type { SamplerSettings } from "../sampling/options.js";
import type { Inpainting, Task, Variation } from "../tasks/kinds.js";
import type { OnWarning } from "./conditioning.js";
import { Remembered } from "./remembered.js";
import { allMasked, inpaintingStart, type Start, variationStart } from "./starts.js";

/** Turns a picture of the bundle's size into tokens. */
export type Encode = (image: RgbImage, signal: AbortSignal | undefined) => Promise<Int32Array>;

/** Pictures and masks of tasks in a bundle's size. */
export class Canvas {
  readonly #geometry: Geometry;
  readonly #encode: Encode;
  readonly #warn: OnWarning;
  readonly #tokens = new Remembered<Int32Array>(1); // the pictures of a task share their image

  constructor(geometry: Geometry, encode: Encode, warn: OnWarning) {
    this.#geometry = geometry;
    this.#encode = encode;
    this.#warn = warn;
  }

  /** Return where the task of one picture starts; warns if there is nothing to draw. */
  async begin(task: Task, seed: bigint, settings: SamplerSettings, signal?: AbortSignal): Promise<Start> {
    const { gridHeight, gridWidth, maskTokenId } = this.#geometry;
    if (task.kind === "variation") {
      const tokens = await this.#imageTokens(task, signal);
      return variationStart(tokens, task.strength, settings, maskTokenId, seed, task.firstPicture);
    }
    if (task.kind === "inpainting") {
      const repaint = this.#repaint(task);
      if (!repaint.includes(1)) {
        this.#warn("the mask covers no token: there is nothing to draw");
      }
      const encode = (): Promise<Int32Array> => this.#imageTokens(task, signal);
      return inpaintingStart(encode, repaint, task.strength, settings, maskTokenId);
    }
    return allMasked(gridHeight * gridWidth, maskTokenId);
  }

  /** Return a task's picture: what `decode` gives, with its own pixels where the task keeps them. */
  async finish(task: Task, decode: () => Promise<RgbImage>): Promise<RgbImage> {
    if (task.kind !== "inpainting") {
      return decode();
    }
    const original = this.#image(task);
    if (!this.#repaint(task).includes(1)) {
      return original;
    }
    const drawn = await decode();
    return task.pasteBack ? pasteBack(drawn, original, pixelMask(this.#mask(task)), task.feather) : drawn;
  }

  /** Throw `OptionsError` if a picture of a task cannot be brought to the bundle's size. */
  check(task: Task): void {
    if (task.kind !== "text_to_image" && task.fit === "exact") {
      for (const { picture } of task.images) {
        checkProportions(picture, this.#geometry.imageWidth, this.#geometry.imageHeight);
      }
    }
  }

  /** Drop what is remembered, and remember nothing more. */
  close(): void {
    this.#tokens.close();
  }

  async #imageTokens(task: Variation | Inpainting, signal: AbortSignal | undefined): Promise<Int32Array> {
    const key = `${task.fit} ${task.images[0].sha256}`;
    return this.#tokens.get(key) ?? this.#tokens.put(key, await this.#encode(this.#image(task), signal));
  }

  #repaint(task: Inpainting): Uint8Array {
    return tokenMask(this.#mask(task), this.#geometry.gridHeight, this.#geometry.gridWidth, task.coverage);
  }

  #image(task: Variation | Inpainting): RgbImage {
    return fitImage(task.images[0].picture, this.#geometry.imageWidth, this.#geometry.imageHeight, task.fit);
  }

  #mask(task: Inpainting): ReturnType<typeof fitImage> {
    return fitImage(task.masks[0].picture, this.#geometry.imageWidth, this.#geometry.imageHeight, task.fit);
  }
}
