/** Checks of what a task is given: each throws `OptionsError`, which names the value. */

import { Sha256 } from "../bundle/sha256.js";
import { checkText, realNumber } from "../checks.js";
import { OptionsError, quoted } from "../errors.js";
import type { GreyImage, RgbImage } from "../pictures/image.js";
import { ascii } from "../utf8.js";
import { isEmbeddings, type Prompt } from "./embeddings.js";
import type { Given } from "./kinds.js";

/** Throw if a mask has not its picture's size. */
export function checkSizes(pictures: readonly Given<RgbImage>[], masks: readonly Given<GreyImage>[]): void {
  pictures.forEach(({ picture }, i) => {
    const mask = masks[i].picture;
    if (picture.width !== mask.width || picture.height !== mask.height) {
      throw new OptionsError(
        `the mask has ${mask.width}x${mask.height} pixels, its picture ${picture.width}x${picture.height}; ` +
          "give a mask of the picture's size",
      );
    }
  });
}

/** Return a picture with a hash of its mode, size and pixels, as files name it. */
export function hashed<P extends RgbImage | GreyImage>(picture: P, mode: "RGB" | "L"): Given<P> {
  const head = ascii(`${mode} (${picture.width}, ${picture.height})`);
  return { picture, sha256: new Sha256().update(head).update(picture.data).hex() };
}

/** Return one prompt or several as a list. */
export function prompts(name: string, value: unknown): readonly Prompt[] {
  const texts = typeof value === "string" || isEmbeddings(value) ? [value] : value;
  if (!Array.isArray(texts)) {
    throw new OptionsError(`${name} is ${quoted(value)}; it must be a string or a list of strings`);
  }
  if (!texts.length) {
    throw new OptionsError(`no ${name} was given; give at least one`);
  }
  for (const prompt of texts) {
    if (typeof prompt === "string") {
      checkText(prompt);
    } else if (!isEmbeddings(prompt)) {
      throw new OptionsError(`${name} is ${quoted(prompt)}; it must be a string`);
    }
  }
  return [...texts];
}

/** Repeat a single value for all prompts. */
export function forEach<T>(all: readonly Prompt[], name: string, values: readonly T[]): readonly T[] {
  if (values.length === 1) {
    return all.map(() => values[0]);
  }
  if (values.length !== all.length) {
    throw new OptionsError(`${values.length} ${name} for ${all.length} prompts; give one for all, or one per prompt`);
  }
  return values;
}

/** Return one or several as a list. */
export function list<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T];
}

/** Return a share of the steps, 0 to 1. */
export function strength(value: unknown): number {
  const share = realNumber("strength", value);
  if (share > 1) {
    throw new OptionsError(`strength is ${share}; it must be between 0 and 1`);
  }
  return share;
}
