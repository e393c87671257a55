/** A bundle's golden input and output as stored: a few numbers that show whether an engine computes it rightly. */

/** How far an engine may be from the golden output. */
export interface Tolerance {
  /** Largest |difference| relative to the largest |logit|. */
  readonly logits: number;
  /** Largest difference, of 255. */
  readonly pixels: number;
}

/** What the graphs give for `prompt` with seed 0 and the bundle's own settings. */
export interface Golden {
  readonly prompt: string;
  readonly inputIds: readonly number[];
  /** Of the first step without guidance: the first codes of the grid's first token. */
  readonly logits: readonly number[];
  /** The finished grid, row by row. */
  readonly tokens: readonly number[];
  /** The picture's top left corner, row by row, channels last. */
  readonly pixels: readonly number[];
  readonly tolerance: Tolerance;
}
