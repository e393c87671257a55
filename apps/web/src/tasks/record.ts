/** What files say of the task of one picture: its kind, prompts and own fields as plain values, pictures as hashes. */

import type { Json } from "../bundle/json.js";
import type { Fields } from "../bundle/json-fields.js";
import { type MicroConditioning, readMicroConditioning } from "../bundle/manifest.js";
import { checkText } from "../checks.js";
import { OptionsError, quoted, StateError } from "../errors.js";
import type { Prompt } from "./embeddings.js";
import { type Task, textToImage } from "./kinds.js";

export const ADVICE = "it is damaged";

/** A whole number is a bigint. */
export type Plain = boolean | number | bigint | string;

/** Stands for prompt embeddings, which are not kept. */
export interface EmbeddingsHash {
  readonly embeddingsSha256: string;
}

export interface TaskRecord {
  readonly kind: Task["kind"];
  readonly prompt: string | EmbeddingsHash;
  readonly negativePrompt: string | EmbeddingsHash;
  /** Index of the picture within its prompt. */
  readonly picture: bigint;
  readonly microConditioning: MicroConditioning | undefined;
  /** Of each of the kind's sources. */
  readonly hashes: Readonly<Record<string, string>>;
  /** The kind's own fields, by their names in files. */
  readonly own: Readonly<Record<string, Plain>>;
}

/** What a kind of task is given beside its prompt. */
export const SOURCES: Readonly<Record<Task["kind"], readonly string[]>> = {
  text_to_image: [],
  variation: ["image"],
  inpainting: ["image", "mask"],
};

/** A kind's own fields, by their names in files. */
const OWN: Readonly<Record<Task["kind"], readonly string[]>> = {
  text_to_image: [],
  variation: ["strength", "fit"],
  inpainting: ["strength", "fit", "coverage", "paste_back", "feather"],
};

const SHARED = ["kind", "prompt", "negative_prompt", "picture", "micro_conditioning"];

/** Describe the task of one picture. */
export function taskRecord(task: Task): TaskRecord {
  if (!Object.hasOwn(OWN, task.kind)) {
    throw new OptionsError(`${quoted(task.kind)} is no task; make one with textToImage, variation or inpainting`);
  }
  return {
    kind: task.kind,
    prompt: nameOf(task.prompts[0]),
    negativePrompt: nameOf(task.negativePrompts[0]),
    picture: task.firstPicture,
    microConditioning: task.microConditioning,
    hashes: {
      ...("images" in task && { image: task.images[0].sha256 }),
      ...("masks" in task && { mask: task.masks[0].sha256 }),
    },
    own: ownFields(task),
  };
}

function ownFields(task: Task): Record<string, Plain> {
  if (task.kind === "text_to_image") {
    return {};
  }
  const own = { strength: task.strength, fit: task.fit };
  if (task.kind === "variation") {
    return own;
  }
  return { ...own, coverage: task.coverage, paste_back: task.pasteBack, feather: BigInt(task.feather) };
}

/** Return a record as JSON. */
export function recordToJson(task: TaskRecord): { [name: string]: Json } {
  const micro = task.microConditioning;
  const hashes = Object.entries(task.hashes).map(([name, hash]): [string, Json] => [`${name}_sha256`, hash]);
  return {
    kind: task.kind,
    prompt: promptToJson(task.prompt),
    negative_prompt: promptToJson(task.negativePrompt),
    picture: task.picture,
    micro_conditioning: micro
      ? { crop_top: micro.cropTop, crop_left: micro.cropLeft, aesthetic_score: micro.aestheticScore }
      : null,
    ...Object.fromEntries(hashes),
    ...task.own,
  };
}

/**
 * Read what `recordToJson` returned, and check that there is nothing else.
 *
 * @throws StateError, OptionsError if it is anything else
 */
export function readRecord(values: Fields, refusal: (message: string) => StateError): TaskRecord {
  const found = values.get("kind", "string");
  if (!Object.hasOwn(OWN, found)) {
    throw new StateError(`the task ${quoted(found)} is not known to this amused-edge; upgrade it`);
  }
  const kind = found as Task["kind"];
  const expected = [...SHARED, ...SOURCES[kind].map((name) => `${name}_sha256`), ...OWN[kind]].sort();
  const names = values.names.sort();
  if (names.join() !== expected.join()) {
    throw refusal(`the task has ${names}, not ${expected}; ${ADVICE}`);
  }
  return {
    kind,
    prompt: readPrompt(values, "prompt"),
    negativePrompt: readPrompt(values, "negative_prompt"),
    picture: textToImage("", { firstPicture: values.get("picture", "bigint") }).firstPicture, // checks its range
    microConditioning: readMicro(values.optional("micro_conditioning")),
    hashes: Object.fromEntries(SOURCES[kind].map((name) => [name, readText(values, `${name}_sha256`)])),
    own: Object.fromEntries(OWN[kind].map((name) => [name, plain(name, values.raw(name))])),
  };
}

/** Say whether two records are of the same picture; a whole number is the same as a float. */
export function sameRecord(one: TaskRecord, other: TaskRecord): boolean {
  const comparable = (record: TaskRecord): string =>
    JSON.stringify(recordToJson(record), (_, value) => (typeof value === "bigint" ? plainNumber(value) : value));
  return comparable(one) === comparable(other);
}

function plainNumber(value: bigint): number | string {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
}

function nameOf(prompt: Prompt): string | EmbeddingsHash {
  return typeof prompt === "string" ? prompt : { embeddingsSha256: prompt.sha256 };
}

function promptToJson(prompt: string | EmbeddingsHash): Json {
  return typeof prompt === "string" ? prompt : { embeddings_sha256: prompt.embeddingsSha256 };
}

function readPrompt(values: Fields, name: string): string | EmbeddingsHash {
  return typeof values.raw(name) === "string"
    ? readText(values, name)
    : { embeddingsSha256: readText(values.child(name), "embeddings_sha256") };
}

function readText(values: Fields, name: string): string {
  const text = values.get(name, "string");
  checkText(text);
  return text;
}

function readMicro(values: Fields | undefined): MicroConditioning | undefined {
  return values && readMicroConditioning(values);
}

function plain(name: string, value: Json): Plain {
  if (typeof value === "object") {
    throw new StateError(`the task's ${name} is ${quoted(value)}; ${ADVICE}`);
  }
  checkText(String(value));
  return value;
}
