/** A prompt that the caller has encoded. */

import { Sha256 } from "../bundle/sha256.js";
import { OptionsError, quoted } from "../errors.js";

/** What the text encoder returns for one prompt, given in its place; made by `promptEmbeddings`. */
export interface PromptEmbeddings {
  /** (text length, E), row by row: the last layer but one. */
  readonly hiddenStates: Float32Array;
  /** Its shape. */
  readonly shape: readonly [number, number];
  /** (P): the projected text embedding. */
  readonly pooled: Float32Array;
  /** Hash of the values. */
  readonly sha256: string;
}

export type Prompt = string | PromptEmbeddings;

/**
 * Return embeddings as a prompt.
 *
 * @param hiddenStates (text length, E), row by row
 * @param textLength rows of the hidden states
 */
export function promptEmbeddings(
  hiddenStates: Float32Array,
  textLength: number,
  pooled: Float32Array,
): PromptEmbeddings {
  for (const [name, values] of Object.entries({ hiddenStates, pooled })) {
    if (!(values instanceof Float32Array) || !values.length) {
      throw new OptionsError(`${name} of prompt embeddings is ${quoted(values)}; give a Float32Array`);
    }
    if (!values.every(Number.isFinite)) {
      throw new OptionsError(`${name} of prompt embeddings hold NaN or infinity; encode the prompt again`);
    }
  }
  if (!Number.isInteger(hiddenStates.length / textLength)) {
    throw new OptionsError(`hiddenStates have ${hiddenStates.length} values, which are not ${textLength} rows`);
  }
  const copies = { hiddenStates: hiddenStates.slice(), pooled: pooled.slice() };
  const hash = new Sha256().update(bytesOf(copies.hiddenStates)).update(bytesOf(copies.pooled));
  return { ...copies, shape: [textLength, hiddenStates.length / textLength], sha256: hash.hex() };
}

/** Say whether a value is a prompt's embeddings. */
export function isEmbeddings(value: unknown): value is PromptEmbeddings {
  const given = value as Partial<PromptEmbeddings> | null | undefined;
  return given?.hiddenStates instanceof Float32Array && given.pooled instanceof Float32Array && !!given.sha256;
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
