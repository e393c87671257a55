/**
 * What is to be drawn. A task gives the prompts and the start state; how the loop runs is in the options.
 *
 * Tasks are plain values, made and checked by the functions here, and may be sent to a worker.
 */

import type { MicroConditioning } from "../bundle/manifest.js";
import type { RgbImage } from "../pictures/image.js";
import type { Prompt } from "./embeddings.js";

export const FITS = ["crop", "pad", "stretch", "exact"] as const;
/** How a picture is brought to the bundle's size; "exact": not at all, but for its proportions. */
export type Fit = (typeof FITS)[number];

export const COVERAGES = ["half", "any"] as const;
/** Tokens that are drawn anew: covered by "half" or more, or by "any" pixel of the mask. */
export type Coverage = (typeof COVERAGES)[number];

/** What every task may be given beside its own. */
export interface CommonOptions {
  /** What guidance steers away from: one for all prompts (by default ""), or one per prompt. */
  readonly negativePrompts?: Prompt | readonly Prompt[];
  /** 1 or more. Pictures come in the order of prompts: all of the first prompt, then all of the second. */
  readonly picturesPerPrompt?: number;
  /** Index, from 0, of each prompt's first picture. Picture k is the same whether drawn alone or among others. */
  readonly firstPicture?: number | bigint;
  /** Crop and aesthetic score that the model is told; left out, the bundle's. */
  readonly microConditioning?: MicroConditioning;
}

interface Shared {
  readonly prompts: readonly Prompt[];
  readonly negativePrompts: readonly Prompt[];
  readonly picturesPerPrompt: number;
  readonly firstPicture: bigint;
  readonly microConditioning: MicroConditioning | undefined;
}

/** Pictures from text, all tokens masked at the start. */
export interface TextToImage extends Shared {
  readonly kind: "text_to_image";
}

/** A picture that a task was given, and the hash of its size and pixels. */
export interface Given<P> {
  readonly picture: P;
  readonly sha256: string;
}

/** A grey picture, a byte per pixel. */
export interface GreyImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Pictures from text and a picture: a share of its tokens is masked at random and drawn anew. */
export interface Variation extends Shared {
  readonly kind: "variation";
  readonly images: readonly Given<RgbImage>[];
  readonly strength: number;
  readonly fit: Fit;
}

/** Part of a picture drawn anew. */
export interface Inpainting extends Shared {
  readonly kind: "inpainting";
  readonly images: readonly Given<RgbImage>[];
  readonly masks: readonly Given<GreyImage>[];
  readonly strength: number;
  readonly fit: Fit;
  readonly coverage: Coverage;
  readonly pasteBack: boolean;
  readonly feather: number;
}

export type Task = TextToImage | Variation | Inpainting;

export type PromptsOrTask = Prompt | readonly Prompt[] | Task;
