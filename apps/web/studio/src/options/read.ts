/** The form's settings, as the runtime takes them, and back into the form. */

import type { Manifest, MicroConditioning } from "../../../src/bundle/manifest.js";
import { OptionsError, quoted } from "../../../src/errors.js";
import type { GenerationOptions, Order } from "../../../src/sampling/options.js";
import type { GuidanceRamp, Schedule } from "../../../src/sampling/schedule.js";
import type { PictureParameters } from "../../../src/tasks/parameters.js";
import type { EngineChoice } from "../compute/draw.js";

export const TASKS = ["words", "vary", "repaint", "extend"] as const;
export type TaskName = (typeof TASKS)[number];

/** Pixels above which a preview costs a phone too much to be made after every step. */
const SMALL = 128 * 128;
const SELDOM = 3;

/** Return what a field holds, without space around it; undefined where that is nothing. */
export function text(form: HTMLFormElement, name: string): string | undefined {
  const value = new FormData(form).get(name);
  return typeof value === "string" && value.trim() ? value.trim() : undefined;
}

export function number(form: HTMLFormElement, name: string): number | undefined {
  const found = text(form, name);
  if (found === undefined) {
    return undefined;
  }
  const value = Number(found);
  if (!Number.isFinite(value)) {
    throw new OptionsError(`${name} is ${quoted(found)}; give a number`);
  }
  return value;
}

export function taskName(form: HTMLFormElement): TaskName {
  return TASKS.find((name) => name === text(form, "task")) ?? "words";
}

/** Return the settings of the loop; what is left empty comes from the bundle. */
export function generationOptions(form: HTMLFormElement): GenerationOptions {
  const temperature = numbers(form, "temperature", [1, 2]);
  const interval = numbers(form, "guidanceInterval", [2]);
  const all = {
    seed: BigInt(text(form, "seed") ?? 0),
    steps: number(form, "steps"),
    guidanceScale: number(form, "guidance"),
    temperature: temperature?.length === 1 ? temperature[0] : temperature,
    schedule: text(form, "schedule") as Schedule | undefined,
    guidanceRamp: text(form, "guidanceRamp") as GuidanceRamp | undefined,
    guidanceInterval: interval,
    order: text(form, "order") as Order | undefined,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as GenerationOptions;
}

function numbers(form: HTMLFormElement, name: string, counts: readonly number[]): number[] | undefined {
  const values = text(form, name)?.split(",").map(Number);
  if (values && !(counts.includes(values.length) && values.every(Number.isFinite))) {
    throw new OptionsError(`${name} is ${quoted(text(form, name))}; give ${counts.join(" or ")} numbers, as 2,0`);
  }
  return values;
}

/** Return what the model is told of crop and score; undefined where all comes from the bundle. */
export function microConditioning(
  form: HTMLFormElement,
  { microConditioning: own }: Manifest,
): MicroConditioning | undefined {
  const [cropTop, cropLeft, aestheticScore] = ["cropTop", "cropLeft", "aestheticScore"].map((name) =>
    number(form, name),
  );
  if (cropTop === undefined && cropLeft === undefined && aestheticScore === undefined) {
    return undefined;
  }
  return {
    cropTop: cropTop ?? own.cropTop,
    cropLeft: cropLeft ?? own.cropLeft,
    aestheticScore: aestheticScore ?? own.aestheticScore,
  };
}

/** Return how the engine computes, and how often a preview is made. */
export function engineChoice(form: HTMLFormElement, { geometry }: Manifest): EngineChoice {
  const memory = text(form, "lowMemory");
  const previews = number(form, "previews");
  const small = geometry.imageHeight * geometry.imageWidth <= SMALL;
  return {
    provider: text(form, "provider") === "webgpu" ? "webgpu" : "wasm",
    threads: number(form, "threads"),
    lowMemory: memory && memory === "yes",
    previewEvery: previews ?? (small ? 1 : memory === "yes" ? 0 : SELDOM),
  } as EngineChoice;
}

/** Show what a bundle fills empty fields with. */
export function showDefaults(form: HTMLFormElement, manifest: Manifest): void {
  const { sampler, microConditioning: micro } = manifest;
  const pair = (value: number | readonly number[]): string =>
    typeof value === "number" ? `${value}` : value.join(", ");
  const defaults: Record<string, string> = {
    steps: String(sampler.steps),
    guidance: String(sampler.guidanceScale),
    temperature: pair(sampler.temperature),
    guidanceInterval: pair(sampler.guidanceInterval),
    aestheticScore: String(micro.aestheticScore),
    cropTop: String(micro.cropTop),
    cropLeft: String(micro.cropLeft),
  };
  for (const [name, value] of Object.entries(defaults)) {
    (form.elements.namedItem(name) as HTMLInputElement).placeholder = value;
  }
}

/** Fill the form with what a picture was drawn from, but for its starting picture. */
export function fillForm(form: HTMLFormElement, { task, seed, settings }: PictureParameters): void {
  const words = (prompt: unknown): string => (typeof prompt === "string" ? prompt : "");
  const pair = (value: number | readonly number[]): string =>
    typeof value === "number" ? `${value}` : value.join(",");
  const micro = task.microConditioning;
  const values: Record<string, string> = {
    prompt: words(task.prompt),
    negative: words(task.negativePrompt),
    seed: String(seed),
    first: String(task.picture),
    count: "1",
    steps: String(settings.steps),
    guidance: String(settings.guidanceScale),
    temperature: pair(settings.temperature),
    schedule: settings.schedule,
    guidanceRamp: settings.guidanceRamp,
    guidanceInterval: pair(settings.guidanceInterval),
    order: settings.order,
    aestheticScore: micro ? String(micro.aestheticScore) : "",
    cropTop: micro ? String(micro.cropTop) : "",
    cropLeft: micro ? String(micro.cropLeft) : "",
    strength: "strength" in task.own ? String(task.own.strength) : "",
    fit: String(task.own.fit ?? "crop"),
    coverage: String(task.own.coverage ?? "half"),
    feather: String(task.own.feather ?? "0"),
  };
  for (const [name, value] of Object.entries(values)) {
    (form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement).value = value;
  }
  (form.elements.namedItem("pasteBack") as HTMLInputElement).checked = task.own.paste_back !== false;
}
