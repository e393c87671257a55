package ai.amusededge.sampling

import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.floor

/** Where the reference lets a scalar temperature end. */
private const val SCALAR_TEMPERATURE_END = 0.01

/**
 * Returns the share of tokens that stays masked after [step] (from 0) of [steps], in [0, 1).
 *
 * Float32, operation by operation, as in the reference scheduler: at ratio 2/3 the float32 cosine is 0.49999997, so
 * 12 steps over 256 tokens leave 127 masked, not 128.
 */
internal fun maskRatio(schedule: Schedule, step: Int, steps: Int): Float {
    val ratio = (step + 1).toFloat() / steps.toFloat()
    if (schedule == Schedule.LINEAR) return 1f - ratio
    val angle = ratio * PI.toFloat() / 2f
    return cos(angle.toDouble()).toFloat() // the float32 angle is what counts; its cosine is rounded once
}

/**
 * Returns how many tokens of one picture stay masked after a step that is not the last:
 * `max(1, min(unknown - 1, floor(positions * start * maskRatio)))`, arXiv 2401.01808 and the reference scheduler.
 *
 * @param positions tokens of the whole grid
 * @param unknown tokens masked before the step; with none unknown, none is masked
 * @param start share of the grid masked at the start, in (0, 1]
 */
internal fun maskLength(
    schedule: Schedule, step: Int, steps: Int, positions: Int, unknown: Int, start: Float,
): Int {
    if (unknown == 0) return 0
    val ratio = start * maskRatio(schedule, step, steps)
    val scheduled = floor(positions.toFloat() * ratio).toInt()
    return maxOf(1, minOf(unknown - 1, scheduled))
}

/** Returns the confidence temperature of a step: linear from the first to the second value; one step uses the first. */
internal fun temperatureAt(temperature: Temperature, step: Int, steps: Int): Float {
    val (first, last) = when (temperature) {
        is Temperature.Scalar -> temperature.value to SCALAR_TEMPERATURE_END
        is Temperature.Range -> temperature.first to temperature.last
    }
    if (steps == 1) return first.toFloat()
    if (step == steps - 1) return last.toFloat()
    return (step * ((last - first) / (steps - 1)) + first).toFloat()
}

/**
 * Returns the guidance scale of a step; 1, no guidance, outside the interval. A step stands at the middle of its share
 * of the run, `(step + 0.5) / steps`.
 *
 * Ramps go from 1 at the first step to [scale] at the last (Chang et al., "Muse", 2023); the interval is from
 * Kynkäänniemi et al., "Applying Guidance in a Limited Interval", 2024.
 */
internal fun guidanceAt(scale: Double, ramp: GuidanceRamp, interval: GuidanceInterval, step: Int, steps: Int): Double {
    val middle = (step + 0.5) / steps
    if (scale <= 1 || middle < interval.begin || middle > interval.end) return minOf(scale, 1.0)
    if (ramp == GuidanceRamp.CONSTANT || steps == 1) return scale
    val share = step.toDouble() / (steps - 1)
    return 1 + (scale - 1) * (if (ramp == GuidanceRamp.LINEAR) share else (1 - cos(PI * share)) / 2)
}
