/** Settings of the loop between files, where the plan has them, and the runtime. */

import type { GenerationOptions, Order, SamplerSettings } from "../../../src/sampling/options.js";
import type { GuidanceRamp, Schedule } from "../../../src/sampling/schedule.js";
import type { PlainSettings } from "../compute/bundles.js";

export function plainSettings(settings: SamplerSettings): PlainSettings {
  return {
    steps: settings.steps,
    guidance_scale: settings.guidanceScale,
    temperature: settings.temperature,
    schedule: settings.schedule,
    guidance_ramp: settings.guidanceRamp,
    guidance_interval: settings.guidanceInterval,
    order: settings.order,
  };
}

/** The runtime checks them. */
export function runtimeSettings(plain: PlainSettings): SamplerSettings & GenerationOptions {
  return {
    steps: plain.steps,
    guidanceScale: plain.guidance_scale,
    temperature: plain.temperature,
    schedule: plain.schedule as Schedule,
    guidanceRamp: plain.guidance_ramp as GuidanceRamp,
    guidanceInterval: plain.guidance_interval,
    order: plain.order as Order,
  };
}
