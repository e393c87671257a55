/** Settings and logits for tests and timings of the sampler. */

import type { SamplerSettings } from "../../src/index.js";
import { uniforms } from "../../src/sampling/philox.js";

export const DEFAULTS: SamplerSettings = {
  steps: 12,
  guidanceScale: 10,
  temperature: [2, 0],
  schedule: "cosine",
  guidanceRamp: "constant",
  guidanceInterval: [0, 1],
  order: "confidence",
};

/** Return logits with this standard deviation, from a stream of their own. */
export function normalLogits(count: number, deviation: number, picture: bigint): Float32Array {
  const [a, b] = [0, 1].map((purpose) => uniforms(count, { seed: 5n, picture, step: 0, purpose }));
  return a.map((u, i) => deviation * Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * b[i]));
}
