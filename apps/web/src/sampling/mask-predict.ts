/**
 * The mask-predict loop: draw every masked token, keep the confident ones, mask the rest again, repeat.
 *
 * It knows tokens and logits; not prompts, graphs or pixels.
 */

/** State after one step of several pictures side by side: one array of h * w values, row by row, for each. */
export interface Step {
  /** This step, from 0, and how many there are. */
  readonly index: number;
  readonly steps: number;
  /** The mask id where `mask` is set. */
  readonly tokens: readonly Int32Array[];
  /** The same without a mask, every position as drawn or known. */
  readonly predicted: readonly Int32Array[];
  /** 1 where masked again after this step; nowhere after the last. */
  readonly mask: readonly Uint8Array[];
  /**
   * What the least of were masked again: log-probability of the drawn token plus its noise, or the place in the Halton
   * order, negative; +Infinity where the token was known before.
   */
  readonly confidence: readonly Float32Array[];
  /** What softmax(logits) gave each token when it was drawn; 1 for those given at the start. */
  readonly probability: readonly Float32Array[];
}
