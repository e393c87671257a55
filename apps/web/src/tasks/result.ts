/** Finished pictures and what they were drawn from. */

import type { RgbImage } from "../pictures/image.js";
import type { Prompt } from "./embeddings.js";
import type { PictureParameters } from "./parameters.js";

export interface Picture {
  readonly image: RgbImage;
  /** (h * w), row by row. */
  readonly tokens: Int32Array;
  /** (h * w), as in `Step`: how sure the model was of each token. */
  readonly probability: Float32Array;
  readonly prompt: Prompt;
  /** All that it was drawn from. */
  readonly parameters: PictureParameters;
}
