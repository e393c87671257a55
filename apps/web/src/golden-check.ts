/** A bundle's golden input and output: a few numbers, stored when it was made, that show that an engine computes it. */

import type { Tolerance } from "./bundle/golden.js";

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
