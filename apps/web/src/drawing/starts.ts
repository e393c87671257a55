/** Where a picture's loop starts: which tokens are masked, and at which step. */

import { OptionsError } from "../errors.js";
import type { SamplerSettings } from "../sampling/options.js";
import { PURPOSE, uniforms } from "../sampling/philox.js";
import { maskRatio } from "../sampling/schedule.js";

/** The beginning of one picture. */
export interface Start {
  readonly tokens: Int32Array;
  /** Steps before it are left out; all of them where it is the number of steps. */
  readonly firstStep: number;
  /** Share of the grid that the schedule starts from, in (0, 1]. */
  readonly startingMaskRatio: number;
}

/** Start from nothing. */
export function allMasked(positions: number, maskTokenId: number): Start {
  return { tokens: new Int32Array(positions).fill(maskTokenId), firstStep: 0, startingMaskRatio: 1 };
}

/**
 * Mask each of an image's tokens with the probability that the schedule gives the step before the first.
 *
 * A strength of 1 masks all, where the reference, which reads the last mask ratio then, masks none.
 */
export function variationStart(
  tokens: Int32Array,
  strength: number,
  settings: SamplerSettings,
  maskTokenId: number,
  seed: bigint,
  picture: bigint,
): Start {
  const { schedule, steps } = settings;
  const firstStep = steps - Math.trunc(steps * strength);
  if (firstStep === 0) {
    return allMasked(tokens.length, maskTokenId);
  }
  if (firstStep === steps) {
    return { tokens, firstStep, startingMaskRatio: 1 };
  }
  const noise = uniforms(tokens.length, { seed, picture, step: 0, purpose: PURPOSE.startMask });
  const ratio = maskRatio(schedule, firstStep - 1, steps);
  const begun = tokens.map((token, position) => (noise[position] < ratio ? maskTokenId : token));
  return { tokens: begun, firstStep, startingMaskRatio: 1 };
}

/**
 * Mask what `repaint` covers; the schedule starts from its share of the grid. Without any token to repaint there is no
 * step.
 *
 * @param encode returns the picture's tokens; called once the strength is known to be good, as it takes its time
 * @throws OptionsError if the strength leaves no step to draw the masked tokens in
 */
export async function inpaintingStart(
  encode: () => Promise<Int32Array>,
  repaint: Uint8Array,
  strength: number,
  settings: SamplerSettings,
  maskTokenId: number,
): Promise<Start> {
  const covered = repaint.reduce((count, one) => count + one, 0);
  const firstStep = inpaintingStep(covered, strength, settings.steps);
  const tokens = (await encode()).map((token, position) => (repaint[position] ? maskTokenId : token));
  return { tokens, firstStep, startingMaskRatio: covered ? Math.fround(covered / repaint.length) : 1 };
}

function inpaintingStep(covered: number, strength: number, steps: number): number {
  if (!covered) {
    return steps;
  }
  const firstStep = steps - Math.trunc(steps * strength);
  if (firstStep === steps) {
    const least = Math.ceil(1e5 / steps) / 1e5;
    throw new OptionsError(
      `strength ${strength} of ${steps} steps leaves none to draw what the mask covers; give at least ${least}`,
    );
  }
  return firstStep;
}
