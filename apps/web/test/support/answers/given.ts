/** What several answers need: settings and places as the vectors have them. */

import { checkedSettings, type SamplerSettings } from "../../../src/sampling/options.js";
import type { Values } from "../vectors.js";

export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Return where something is set. */
export const places = (mask: Iterable<number | boolean>): number[] =>
  [...mask].flatMap((set, position) => (set ? [position] : []));

export const settingsOf = (settings: Values): SamplerSettings =>
  checkedSettings({
    steps: settings.steps,
    guidanceScale: settings.guidance_scale,
    temperature: settings.temperature,
    schedule: settings.schedule,
    guidanceRamp: settings.guidance_ramp,
    guidanceInterval: settings.guidance_interval,
    order: settings.order,
  });
