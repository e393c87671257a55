/**
 * How many tokens stay masked after each step, how noisy the confidences are, and how strong guidance is.
 *
 * Ratios and temperatures are float32, operation by operation, as in the reference scheduler: at ratio 2/3 the float32
 * cosine is 0.49999997, so 12 steps over 256 tokens leave 127 masked, not 128.
 */

const f32 = Math.fround;

export const SCHEDULES = ["cosine", "linear"] as const;
export type Schedule = (typeof SCHEDULES)[number];

export const GUIDANCE_RAMPS = ["constant", "linear", "cosine"] as const;
export type GuidanceRamp = (typeof GUIDANCE_RAMPS)[number];

/** Of the confidences: (first step, last step), or a scalar T for (T, 0.01). */
export type Temperature = number | readonly [number, number];

/** Where the reference lets a scalar temperature end. */
const SCALAR_TEMPERATURE_END = 0.01;

/** Return the share of tokens that stays masked after step `step` (from 0) of `steps`, in [0, 1), float32. */
export function maskRatio(schedule: Schedule, step: number, steps: number): number {
  const ratio = f32(f32(step + 1) / f32(steps));
  if (schedule === "linear") {
    return f32(1 - ratio);
  }
  const angle = f32(f32(ratio * f32(Math.PI)) / 2);
  // The float32 angle is what counts; its cosine is rounded once.
  return f32(Math.cos(angle));
}

/**
 * Return how many tokens of one picture stay masked after a step that is not the last:
 * `max(1, min(unknown - 1, floor(positions * start * maskRatio)))`, arXiv 2401.01808 and the reference scheduler.
 *
 * @param positions tokens of the whole grid
 * @param unknown tokens masked before the step; with none unknown, none is masked
 * @param start share of the grid masked at the start, in (0, 1]
 */
export function maskLength(
  schedule: Schedule,
  step: number,
  steps: number,
  positions: number,
  unknown: number,
  start = 1,
): number {
  if (unknown === 0) {
    return 0;
  }
  const ratio = f32(f32(start) * maskRatio(schedule, step, steps));
  return Math.max(1, Math.min(unknown - 1, Math.floor(f32(f32(positions) * ratio))));
}

/**
 * Return the confidence temperature of a step, float32: linear from the first to the second value over all steps.
 *
 * A scalar T stands for (T, 0.01). One step uses the first value.
 */
export function temperatureAt(temperature: Temperature, step: number, steps: number): number {
  const [first, last] = typeof temperature === "number" ? [temperature, SCALAR_TEMPERATURE_END] : temperature;
  if (steps === 1) {
    return f32(first);
  }
  if (step === steps - 1) {
    return f32(last);
  }
  return f32(step * ((last - first) / (steps - 1)) + first);
}

/**
 * Return the guidance scale of a step; 1, no guidance, outside the interval.
 *
 * @param scale where the ramp ends; 1 or less is no guidance at any step
 * @param ramp "constant"; or from 1 at the first step to `scale` at the last: "linear" (Chang et al., "Muse", 2023) or
 *   half a "cosine" wave. One step has the full scale.
 * @param interval shares of the run in [0, 1] between which guidance is on (Kynkäänniemi et al., "Applying Guidance in a
 *   Limited Interval", 2024). A step stands at the middle of its share, `(step + 0.5) / steps`.
 */
export function guidanceAt(
  scale: number,
  ramp: GuidanceRamp,
  interval: readonly [number, number],
  step: number,
  steps: number,
): number {
  const middle = (step + 0.5) / steps;
  if (scale <= 1 || !(interval[0] <= middle && middle <= interval[1])) {
    return Math.min(scale, 1);
  }
  if (ramp === "constant" || steps === 1) {
    return scale;
  }
  const share = step / (steps - 1);
  return 1 + (scale - 1) * (ramp === "linear" ? share : (1 - Math.cos(Math.PI * share)) / 2);
}
