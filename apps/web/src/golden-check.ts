/** A bundle's golden input and output: a few numbers, stored when it was made, that show that an engine computes it. */

import type { Golden, Tolerance } from "./bundle/golden.js";
import { BundleError } from "./errors.js";
import type { RgbImage } from "./pictures/image.js";

/** How many logits are stored. */
const LOGITS = 16;

/** Sides of the corner whose pixels are stored. */
const CORNER = 4;

/** How a run on this engine compares with the golden output. */
export interface GoldenReport {
  /** Whether the prompt's ids are the same. */
  readonly sameIds: boolean;
  /** Largest |difference| of the logits, relative to the largest |logit|. */
  readonly logitError: number;
  /** Share of the grid drawn alike; it decides nothing, since one near-tie changes what follows. */
  readonly equalTokens: number;
  /** Largest difference of the corner of the stored tokens' picture, of 255. */
  readonly pixelError: number;
  /** What the bundle allows. */
  readonly tolerance: Tolerance;
  /** Whether the engine computes the bundle's numbers, up to rounding. */
  readonly reproduced: boolean;
}

/** What an engine made of the golden input. */
export interface Computed {
  readonly inputIds: Int32Array;
  /** Of the grid's first token, unguided, all tokens masked. */
  readonly logits: Float32Array;
  readonly tokens: Int32Array;
  /** The stored tokens decoded, so that a token drawn otherwise does not count against the decoder. */
  readonly image: RgbImage;
}

/** Compare what an engine computed with what the bundle stored. */
export function compareGolden(golden: Golden, { inputIds, logits, tokens, image }: Computed): GoldenReport {
  const { tolerance } = golden;
  const corner = cornerOf(image);
  const expected = { input_ids: inputIds, tokens, pixels: corner };
  for (const [name, found] of Object.entries(expected)) {
    const stored = { input_ids: golden.inputIds, tokens: golden.tokens, pixels: golden.pixels }[name] ?? [];
    if (stored.length !== found.length) {
      throw new BundleError(`golden.json has ${stored.length} ${name}, not ${found.length}; copy the bundle again`);
    }
  }
  if (golden.logits.length !== Math.min(LOGITS, logits.length)) {
    throw new BundleError(`golden.json has ${golden.logits.length} logits; copy the bundle again`);
  }
  const sameIds = inputIds.every((id, i) => id === golden.inputIds[i]);
  const difference = largest(golden.logits.map((value, i) => logits[i] - value));
  const logitError = difference / largest(golden.logits);
  const pixelError = largest(golden.pixels.map((value, i) => corner[i] - value));
  return {
    sameIds,
    logitError,
    equalTokens: tokens.filter((token, i) => token === golden.tokens[i]).length / tokens.length,
    pixelError,
    tolerance,
    reproduced: sameIds && logitError <= tolerance.logits && pixelError <= tolerance.pixels,
  };
}

/** Return the largest absolute value; NaN if one is none. */
function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function cornerOf({ width, data }: RgbImage): number[] {
  return Array.from({ length: CORNER }, (_, y) => [...data.subarray(3 * y * width, 3 * (y * width + CORNER))]).flat();
}
