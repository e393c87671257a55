/** The task that the form asks for, as the runtime makes and checks it. */

import type { Manifest } from "../../../src/bundle/manifest.js";
import { OptionsError } from "../../../src/errors.js";
import type { ImageSource } from "../../../src/pictures/image.js";
import type { Coverage } from "../../../src/pictures/masks.js";
import type { Fit } from "../../../src/pictures/sources.js";
import { inpainting, outpainting, type Task, textToImage, variation } from "../../../src/tasks/kinds.js";
import { microConditioning, number, type TaskName, text } from "./read.js";

/** Pixels around a picture. */
export interface Margins {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** What a task starts from. */
export interface Start {
  readonly image: ImageSource;
  readonly mask?: ImageSource | undefined;
  readonly margins?: Margins | undefined;
}

/** Return the task; throws `OptionsError` where something is missing or does not fit. */
export function taskOf(form: HTMLFormElement, name: TaskName, start: Start | undefined, manifest: Manifest): Task {
  const prompt = text(form, "prompt") ?? "";
  const micro = microConditioning(form, manifest);
  const common = {
    negativePrompts: text(form, "negative") ?? "",
    picturesPerPrompt: number(form, "count") ?? 1,
    firstPicture: BigInt(text(form, "first") ?? 0),
    ...(micro && { microConditioning: micro }),
  };
  if (name === "words") {
    return textToImage(prompt, common);
  }
  if (!start) {
    throw new OptionsError("there is no starting picture yet; choose one, or draw one first");
  }
  const strength = number(form, "strength");
  const own = { ...common, ...(strength !== undefined && { strength }), fit: (text(form, "fit") ?? "crop") as Fit };
  if (name === "vary") {
    return variation(prompt, start.image, own);
  }
  const feather = number(form, "feather") ?? 0;
  if (name === "extend") {
    const margins = start.margins;
    if (!margins || !Object.values(margins).some((side) => side > 0)) {
      throw new OptionsError("the frame is as large as the picture; drag it out first");
    }
    return outpainting(prompt, start.image, { ...own, ...margins, feather });
  }
  if (!start.mask) {
    throw new OptionsError("nothing is painted yet; paint over what is to be drawn anew");
  }
  return inpainting(prompt, start.image, start.mask, {
    ...own,
    feather,
    coverage: (text(form, "coverage") ?? "half") as Coverage,
    pasteBack: text(form, "pasteBack") !== undefined,
  });
}
