/** Everything that one picture was drawn from: what a PNG carries as JSON, and what a saved state belongs to. */

import { dumpJson, type Json, parseJson } from "../bundle/json.js";
import { Fields } from "../bundle/json-fields.js";
import { readSettings } from "../bundle/manifest.js";
import { checkText } from "../checks.js";
import { OptionsError, StateError } from "../errors.js";
import type { ImageSource } from "../pictures/image.js";
import type { Coverage } from "../pictures/masks.js";
import type { Fit } from "../pictures/sources.js";
import { checkedSeed, type GenerationOptions, type SamplerSettings } from "../sampling/options.js";
import type { Temperature } from "../sampling/schedule.js";
import { inpainting, type Task, textToImage, variation } from "./kinds.js";
import {
  ADVICE,
  type EmbeddingsHash,
  readRecord,
  recordToJson,
  SOURCES,
  sameRecord,
  type TaskRecord,
  taskRecord,
} from "./record.js";

const VERSION = 1;
const FORMAT = "amused-edge picture";

export interface PictureParameters {
  /** Of the bundle; the name is for people. */
  readonly bundleName: string;
  readonly bundleSha256: string;
  readonly task: TaskRecord;
  readonly seed: bigint;
  readonly settings: SamplerSettings;
}

/** Return the parameters as JSON: what the PNG files of the command line hold. */
export function parametersToText(parameters: PictureParameters): string {
  return dumpJson(parametersToJson(parameters));
}

/** Read what `parametersToText`, here or in Python, wrote; throws `StateError` if it is anything else. */
export function parametersFromText(text: string): PictureParameters {
  let content: Json;
  try {
    content = parseJson(text, true);
  } catch (error) {
    throw new StateError(`the parameters of a picture are not JSON: ${(error as Error).message}`);
  }
  return parametersFromJson(content);
}

export function parametersToJson({ bundleName, bundleSha256, task, seed, settings }: PictureParameters): Json {
  return {
    format: FORMAT,
    version: BigInt(VERSION),
    bundle: { name: bundleName, sha256: bundleSha256 },
    task: recordToJson(task),
    seed,
    settings: settingsToJson(settings),
  };
}

export function parametersFromJson(content: Json): PictureParameters {
  try {
    const values = new Fields(content, "parameters", ADVICE, unreadable);
    if (values.get("format", "string") !== FORMAT || values.get("version", "int") !== VERSION) {
      throw new StateError("these are parameters of another format or version; use the amused-edge that wrote it");
    }
    const bundle = values.child("bundle");
    const [bundleName, bundleSha256] = [bundle.get("name", "string"), bundle.get("sha256", "string")];
    checkText(bundleName);
    checkText(bundleSha256);
    return {
      bundleName,
      bundleSha256,
      task: readRecord(values.child("task"), unreadable),
      seed: checkedSeed(values.get("seed", "bigint")),
      settings: readSettings(values.child("settings")),
    };
  } catch (error) {
    throw error instanceof OptionsError ? unreadable(error.message) : error;
  }
}

/** Return the options that draw a picture again. */
export function optionsOf({ seed, settings }: PictureParameters): GenerationOptions {
  return { seed, ...settings };
}

/**
 * Return the task of a picture, with the pictures and embeddings that the parameters hold only the hashes of.
 *
 * @param given the same task, or one of which it is a picture
 * @throws StateError if something must be given and was not, or is not the same
 */
export function restoreTask(parameters: PictureParameters, pictures: readonly Task[] | undefined): Task {
  const { task } = parameters;
  if (pictures !== undefined) {
    const found = pictures.find((one) => sameRecord(taskRecord(one), task));
    if (!found) {
      throw new StateError("the task that was given is not the one of the picture; give the same one");
    }
    return found;
  }
  if (SOURCES[task.kind].length) {
    throw new StateError(`${task.kind} needs its pictures again; give them as they were`);
  }
  return rebuildTask(parameters);
}

/**
 * Return the task of a picture from its parameters and the pictures that it was given.
 *
 * @throws StateError if a picture is missing, too many, or not the one of then
 */
export function rebuildTask(parameters: PictureParameters, image?: ImageSource, mask?: ImageSource): Task {
  const { task } = parameters;
  for (const [name, source] of Object.entries({ image, mask })) {
    const needed = SOURCES[task.kind].includes(name);
    if (needed !== (source !== undefined)) {
      const said = needed ? `needs its ${name}; give it as it was` : `has no ${name}; leave it out`;
      throw new StateError(`${task.kind} ${said}`);
    }
  }
  let built: Task;
  try {
    built = build(task, image as ImageSource, mask as ImageSource);
  } catch (error) {
    throw error instanceof OptionsError
      ? new StateError(`the picture's task cannot be drawn again: ${error.message}`)
      : error;
  }
  return SOURCES[task.kind].length ? restoreTask(parameters, [built]) : built;
}

function build(task: TaskRecord, image: ImageSource, mask: ImageSource): Task {
  const common = {
    negativePrompts: text(task.negativePrompt),
    firstPicture: task.picture,
    ...(task.microConditioning && { microConditioning: task.microConditioning }),
  };
  if (task.kind === "text_to_image") {
    return textToImage(text(task.prompt), common);
  }
  const { strength, fit } = task.own;
  const own = { ...common, strength: Number(strength), fit: fit as Fit };
  if (task.kind === "variation") {
    return variation(text(task.prompt), image, own);
  }
  return inpainting(text(task.prompt), image, mask, {
    ...own,
    coverage: task.own.coverage as Coverage,
    pasteBack: Boolean(task.own.paste_back),
    feather: Number(task.own.feather),
  });
}

function text(prompt: string | EmbeddingsHash): string {
  if (typeof prompt !== "string") {
    throw new StateError("the picture was drawn from prompt embeddings; give them again");
  }
  return prompt;
}

function settingsToJson(settings: SamplerSettings): Json {
  const { temperature } = settings;
  const pair = (value: Temperature): Json => (typeof value === "number" ? value : [...value]);
  return {
    steps: BigInt(settings.steps),
    guidance_scale: settings.guidanceScale,
    temperature: pair(temperature),
    schedule: settings.schedule,
    guidance_ramp: settings.guidanceRamp,
    guidance_interval: pair(settings.guidanceInterval),
    order: settings.order,
  };
}

function unreadable(why: string): StateError {
  return new StateError(`the parameters of a picture cannot be read: ${why}`);
}
