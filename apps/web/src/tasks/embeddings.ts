/** A prompt that the caller has encoded. */

/** What the text encoder returns for one prompt, given in its place; made by `promptEmbeddings`. */
export interface PromptEmbeddings {
  /** (text length, E), row by row: the last layer but one. */
  readonly hiddenStates: Float32Array;
  /** (P): the projected text embedding. */
  readonly pooled: Float32Array;
  /** Hash of the values. */
  readonly sha256: string;
}

export type Prompt = string | PromptEmbeddings;
