/**
 * What is to be drawn. A task gives the prompts and the start state; how the loop runs is in the options.
 *
 * Tasks are plain values, made and checked by the functions here, and may be sent to a worker.
 */

import { checkedMicroConditioning, type MicroConditioning } from "../bundle/manifest.js";
import { choice, wholeBigInt, wholeNumber } from "../checks.js";
import { OptionsError } from "../errors.js";
import type { GreyImage, ImageSource, RgbImage } from "../pictures/image.js";
import { COVERAGES, type Coverage } from "../pictures/masks.js";
import { FITS, type Fit, readImage, readMask } from "../pictures/sources.js";
import type { Prompt } from "./embeddings.js";
import * as given from "./given.js";

const PICTURE_LIMIT = 2n ** 64n;
const COUNT_LIMIT = 100_000;
const FEATHER_LIMIT = 256;

/** Pixels of a side, of a picture with its margins. */
const CANVAS_LIMIT = 2 ** 14;

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

/** Pictures from text and a picture (image to image): a share of its tokens is masked at random and drawn anew. */
export interface Variation extends Shared {
  readonly kind: "variation";
  readonly images: readonly Given<RgbImage>[];
  readonly strength: number;
  readonly fit: Fit;
}

export interface VariationOptions extends CommonOptions {
  /**
   * Share of the steps that run, 0 to 1, by default 0.5; the later a run starts, the fewer tokens are masked. At 1 all
   * are, and at 0, or too little for one step, the picture only passes through the VQ-GAN.
   */
  readonly strength?: number;
  /** By default "crop". */
  readonly fit?: Fit;
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

export interface InpaintingOptions extends CommonOptions {
  /**
   * Share of the steps that run, above 0 to 1, by default 1. All that the mask covers is masked at the start whatever it
   * is: less than 1 leaves out the early steps, and is faster.
   */
  readonly strength?: number;
  /** By default "crop". */
  readonly fit?: Fit;
  /** By default "half". */
  readonly coverage?: Coverage;
  /** Put the picture's own pixels where the mask is dark (the default), or pass the whole through the VQ-GAN. */
  readonly pasteBack?: boolean;
  /** Pixels, 0 to 256, over which the pasted picture fades into the new part; by default 0. */
  readonly feather?: number;
}

/** Margins of an out-painting in pixels, each 0 by default. */
export interface OutpaintingOptions extends CommonOptions {
  readonly left?: number;
  readonly top?: number;
  readonly right?: number;
  readonly bottom?: number;
  readonly strength?: number;
  readonly feather?: number;
}

export type Task = TextToImage | Variation | Inpainting;

export type PromptsOrTask = Prompt | readonly Prompt[] | Task;

/** Return the task of drawing pictures from text alone. */
export function textToImage(prompts: Prompt | readonly Prompt[], options: CommonOptions = {}): TextToImage {
  return { kind: "text_to_image", ...shared(prompts, options) };
}

/**
 * Return the task of drawing pictures like others.
 *
 * @param images one for all prompts, or one per prompt
 */
export function variation(
  prompts: Prompt | readonly Prompt[],
  images: ImageSource | readonly ImageSource[],
  options: VariationOptions = {},
): Variation {
  const common = shared(prompts, options);
  const pictures = given.list(images).map((source) => given.hashed(readImage(source), "RGB"));
  return {
    kind: "variation",
    ...common,
    images: given.forEach(common.prompts, "images", pictures),
    strength: given.strength(options.strength ?? 0.5),
    fit: choice("fit", options.fit ?? "crop", FITS),
  };
}

/**
 * Return the task of drawing part of pictures anew.
 *
 * @param images one for all prompts, or one per prompt
 * @param masks of their image's size, bright where it is to be repainted: one for all images, or one per image
 */
export function inpainting(
  prompts: Prompt | readonly Prompt[],
  images: ImageSource | readonly ImageSource[],
  masks: ImageSource | readonly ImageSource[],
  options: InpaintingOptions = {},
): Inpainting {
  const common = shared(prompts, options);
  const originals = given.list(images).map((source) => given.hashed(readImage(source), "RGB"));
  const stencils = given.list(masks).map((source) => given.hashed(readMask(source), "L"));
  const pictures = given.forEach(common.prompts, "images", originals);
  const covers = given.forEach(common.prompts, "masks", stencils);
  given.checkSizes(pictures, covers);
  return {
    kind: "inpainting",
    ...common,
    images: pictures,
    masks: covers,
    strength: given.strength(options.strength ?? 1),
    fit: choice("fit", options.fit ?? "crop", FITS),
    coverage: choice("coverage", options.coverage ?? "half", COVERAGES),
    pasteBack: options.pasteBack ?? true,
    feather: wholeNumber("feather", options.feather ?? 0, 0, FEATHER_LIMIT),
  };
}

/**
 * Return the task that draws around a picture. Picture and margins together must have the proportions of the bundle's
 * pictures, to whose size they are brought.
 */
export function outpainting(
  prompts: Prompt | readonly Prompt[],
  image: ImageSource,
  options: OutpaintingOptions,
): Inpainting {
  const picture = readImage(image);
  const margin = (name: "left" | "top" | "right" | "bottom"): number =>
    wholeNumber(name, options[name] ?? 0, 0, CANVAS_LIMIT);
  const [left, top] = [margin("left"), margin("top")];
  const width = picture.width + left + margin("right");
  const height = picture.height + top + margin("bottom");
  if (Math.max(width, height) > CANVAS_LIMIT) {
    throw new OptionsError(`the canvas has ${width}x${height} pixels; each side may have ${CANVAS_LIMIT}`);
  }
  const canvas = new Uint8Array(3 * width * height);
  const mask = new Uint8Array(width * height);
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.min(Math.max(y - top, 0), picture.height - 1);
    for (let x = 0; x < width; x++, at++) {
      const column = Math.min(Math.max(x - left, 0), picture.width - 1);
      const from = 3 * (row * picture.width + column);
      canvas.set(picture.data.subarray(from, from + 3), 3 * at); // the picture's edge goes on
      mask[at] = row === y - top && column === x - left ? 0 : 255;
    }
  }
  const fixed = { fit: "exact", coverage: "any" } as const;
  return inpainting(prompts, { width, height, data: canvas }, { width, height, data: mask }, { ...options, ...fixed });
}

const KINDS: readonly string[] = ["text_to_image", "variation", "inpainting"];

/** Return the task of prompts that were given bare. */
export function asTask(task: PromptsOrTask): Task {
  return typeof task === "object" && task !== null && "kind" in task && KINDS.includes(task.kind)
    ? task
    : textToImage(task as Prompt);
}

/** Return [index of the prompt, index of the picture within its prompt] for every picture, in order. */
export function picturesOf(task: Task): [number, bigint][] {
  return task.prompts.flatMap((_, prompt) =>
    Array.from({ length: task.picturesPerPrompt }, (_, k): [number, bigint] => [prompt, task.firstPicture + BigInt(k)]),
  );
}

/** Return the task of one of the pictures alone, given as `picturesOf` gives it. */
export function single<T extends Task>(task: T, [prompt, picture]: readonly [number, bigint]): T {
  const one = {
    ...task,
    prompts: [task.prompts[prompt]],
    negativePrompts: [task.negativePrompts[prompt]],
    picturesPerPrompt: 1,
    firstPicture: picture,
  };
  if ("images" in one) {
    Object.assign(one, { images: [one.images[prompt]] });
  }
  if ("masks" in one) {
    Object.assign(one, { masks: [one.masks[prompt]] });
  }
  return one;
}

/** Check what all tasks share. */
function shared(prompts: unknown, options: CommonOptions): Shared {
  const texts = given.prompts("prompt", prompts);
  const picturesPerPrompt = wholeNumber("picturesPerPrompt", options.picturesPerPrompt ?? 1, 1, COUNT_LIMIT);
  const last = PICTURE_LIMIT - BigInt(picturesPerPrompt);
  return {
    prompts: texts,
    negativePrompts: given.forEach(
      texts,
      "negative prompts",
      given.prompts("negative prompt", options.negativePrompts ?? ""),
    ),
    picturesPerPrompt,
    firstPicture: wholeBigInt("firstPicture", options.firstPicture ?? 0, 0n, last),
    microConditioning: options.microConditioning && checkedMicroConditioning(options.microConditioning),
  };
}
