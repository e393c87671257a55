/** What a device computed that Python can compare: a picture's tokens, and guided logits on the way there. */

import { toBase64 } from "../../../src/base64.js";
import { guidanceAt } from "../../../src/sampling/options.js";
import type { RemotePipeline } from "../../../src/web/index.js";
import type { PlainSettings, QualityPlan } from "../compute/bundles.js";
import type { Instruments } from "./instruments.js";
import type { Plan, Quality, QualityState } from "./plan.js";
import { runtimeSettings } from "./settings.js";

/** Bytes of logits that all bundles together send at most; a server takes 32 MB of JSON. */
const MOST_BYTES = 18e6;

/** Draw the plan's picture step by step, and take logits of the states that are asked for. */
export async function qualityOf(
  label: string,
  plan: Plan,
  asked: QualityPlan,
  settings: PlainSettings,
  { pipeline, instruments }: { pipeline: RemotePipeline; instruments: Instruments },
  signal: AbortSignal,
): Promise<Quality> {
  const { gridHeight, gridWidth, maskTokenId, codebookSize } = pipeline.manifest.geometry;
  const most = Math.floor(MOST_BYTES / (plan.subjects.length * asked.steps.length * 4 * codebookSize));
  const options = runtimeSettings(settings);
  const states: QualityState[] = [];
  const grid = (tokens: Int32Array): number[][] =>
    Array.from({ length: gridHeight }, (_, row) => [...tokens.subarray(row * gridWidth, (row + 1) * gridWidth)]);
  let before = new Int32Array(gridHeight * gridWidth).fill(maskTokenId);
  for await (const step of pipeline.stream(plan.prompt, { ...options, seed: plan.seed, signal })) {
    const rows = spread(before, maskTokenId, Math.max(1, Math.min(asked.rows, most)));
    if (asked.steps.includes(step.index) && rows.length) {
      const logits = await instruments.logits(rows, guidanceAt(options, step.index), signal);
      states.push({ step: step.index, tokens: grid(before), rows, logits: packed(logits) });
    }
    before = Int32Array.from(step.tokens[0]);
  }
  return { label, tokens: grid(before), states };
}

/** Return up to so many masked positions, evenly over all that there are. */
function spread(tokens: Int32Array, maskTokenId: number, most: number): number[] {
  const masked = [...tokens.keys()].filter((place) => tokens[place] === maskTokenId);
  const count = Math.min(most, masked.length);
  return Array.from({ length: count }, (_, i) => masked[Math.floor((i * masked.length) / count)]);
}

function packed(values: Float32Array): string {
  const bytes = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => {
    bytes.setFloat32(4 * i, value, true);
  });
  return toBase64(new Uint8Array(bytes.buffer));
}
