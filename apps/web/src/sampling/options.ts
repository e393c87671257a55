/** How the mask-predict loop runs: small plain settings, checked by the functions here. */

import { choice, realNumber, wholeBigInt, wholeNumber } from "../checks.js";
import { OptionsError, quoted } from "../errors.js";
import {
  GUIDANCE_RAMPS,
  type GuidanceRamp,
  guidanceAt as guidanceOf,
  SCHEDULES,
  type Schedule,
  type Temperature,
} from "./schedule.js";

export const ORDERS = ["confidence", "halton"] as const;
export type Order = (typeof ORDERS)[number];

const SEED_LIMIT = 2n ** 64n;
const STEPS_LIMIT = 10_000;

/** What a caller may give: settings, the seed, and how the run is watched. */
const OPTIONS: ReadonlySet<string> = new Set([
  ...["seed", "steps", "guidanceScale", "temperature", "schedule", "guidanceRamp", "guidanceInterval", "order"],
  ...["signal", "onStep"],
]);

/** Complete settings of the loop; a bundle's manifest carries its own. */
export interface SamplerSettings {
  /** Calls of the denoiser, 1 to 10,000. */
  readonly steps: number;
  /** Classifier-free guidance, 0 to 1e6; the unconditional branch runs only above 1. */
  readonly guidanceScale: number;
  /** Of the confidences, 0 to 1e6: [first step, last step], or a scalar T for [T, 0.01]. */
  readonly temperature: Temperature;
  readonly schedule: Schedule;
  /** How guidance grows, see `guidanceAt`. */
  readonly guidanceRamp: GuidanceRamp;
  /** Shares of the run, 0 to 1, between which guidance is on. A step outside it is cheaper. */
  readonly guidanceInterval: readonly [number, number];
  /**
   * Which tokens stay: the most confident ("confidence", the reference), or those that a Halton sequence reaches next
   * ("halton"), which takes no temperature.
   */
  readonly order: Order;
}

/** What a caller asks of the loop; what is left out comes from the bundle. */
export interface GenerationOptions extends Partial<SamplerSettings> {
  /** Whole number in [0, 2^64), a bigint where it is large; by default 0. The same seed gives the same picture. */
  readonly seed?: number | bigint;
}

/**
 * Return settings with every value checked.
 *
 * @param called what errors call a setting
 */
export function checkedSettings(
  given: { readonly [name in keyof SamplerSettings]: unknown },
  called: (name: keyof SamplerSettings) => string = (name) => name,
): SamplerSettings {
  return {
    steps: wholeNumber(called("steps"), given.steps, 1, STEPS_LIMIT),
    guidanceScale: realNumber(called("guidanceScale"), given.guidanceScale),
    temperature: checkedTemperature(given.temperature),
    schedule: choice(called("schedule"), given.schedule, SCHEDULES),
    guidanceRamp: choice(called("guidanceRamp"), given.guidanceRamp, GUIDANCE_RAMPS),
    guidanceInterval: checkedInterval(called("guidanceInterval"), given.guidanceInterval),
    order: choice(called("order"), given.order, ORDERS),
  };
}

/** Fill what options leave open from `defaults`; an option of a runtime that can more is refused, not left out. */
export function settingsOf(options: GenerationOptions, defaults: SamplerSettings): SamplerSettings {
  for (const name of Object.keys(options)) {
    if (!OPTIONS.has(name) && options[name as keyof GenerationOptions] !== undefined) {
      throw new OptionsError(`${quoted(name)} is no option of this runtime; it has: ${[...OPTIONS].join(", ")}`);
    }
  }
  return checkedSettings({
    steps: options.steps ?? defaults.steps,
    guidanceScale: options.guidanceScale ?? defaults.guidanceScale,
    temperature: options.temperature ?? defaults.temperature,
    schedule: options.schedule ?? defaults.schedule,
    guidanceRamp: options.guidanceRamp ?? defaults.guidanceRamp,
    guidanceInterval: options.guidanceInterval ?? defaults.guidanceInterval,
    order: options.order ?? defaults.order,
  });
}

/** Return a seed as a bigint. */
export function checkedSeed(seed: unknown): bigint {
  return wholeBigInt("seed", seed, 0n, SEED_LIMIT - 1n);
}

/** Return the guidance scale of a step, from 0; the unconditional branch runs where it is above 1. */
export function guidanceAt(settings: SamplerSettings, step: number): number {
  return guidanceOf(settings.guidanceScale, settings.guidanceRamp, settings.guidanceInterval, step, settings.steps);
}

/** Say whether the unconditional branch runs at any step. */
export function isGuided(settings: SamplerSettings): boolean {
  for (let step = 0; step < settings.steps; step++) {
    if (guidanceAt(settings, step) > 1) {
      return true;
    }
  }
  return false;
}

function checkedTemperature(value: unknown): Temperature {
  if (!Array.isArray(value)) {
    return realNumber("temperature", value);
  }
  if (value.length !== 2) {
    throw new OptionsError(`temperature is ${quoted(value)}; give one number or a pair [first, last]`);
  }
  return [realNumber("temperature", value[0]), realNumber("temperature", value[1])];
}

function checkedInterval(name: string, value: unknown): [number, number] {
  if (!Array.isArray(value) || value.length !== 2) {
    throw new OptionsError(`${name} is ${quoted(value)}; give a pair [begin, end] of shares of the run`);
  }
  const begin = realNumber(name, value[0]);
  const end = realNumber(name, value[1]);
  if (!(begin <= end && end <= 1)) {
    throw new OptionsError(`${name} is ${quoted(value)}; its shares must rise within 0 to 1`);
  }
  return [begin, end];
}
