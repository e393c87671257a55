package ai.amusededge.drawing

import ai.amusededge.OptionsException
import ai.amusededge.sampling.PhiloxStream
import ai.amusededge.sampling.Purpose
import ai.amusededge.sampling.SamplerSettings
import ai.amusededge.sampling.maskRatio
import ai.amusededge.sampling.uniforms
import kotlin.math.ceil

/**
 * The beginning of one picture.
 *
 * @property firstStep steps before it are left out; all of them where it is the number of steps
 * @property startingMaskRatio share of the grid that the schedule starts from, in (0, 1]
 */
internal class Start(val tokens: IntArray, val firstStep: Int, val startingMaskRatio: Float)

/** Starts from nothing. */
internal fun allMasked(positions: Int, maskTokenId: Int) = Start(IntArray(positions) { maskTokenId }, 0, 1f)

/**
 * Masks each of an image's tokens with the probability that the schedule gives the step before the first.
 *
 * A strength of 1 masks all, where the reference, which reads the last mask ratio then, masks none.
 */
internal fun variationStart(
    tokens: IntArray, strength: Double, settings: SamplerSettings, maskTokenId: Int, seed: Long, picture: Long,
): Start {
    val steps = settings.steps
    val firstStep = steps - (steps * strength).toInt()
    if (firstStep == 0) return allMasked(tokens.size, maskTokenId)
    if (firstStep == steps) return Start(tokens.copyOf(), firstStep, 1f)
    val noise = uniforms(tokens.size, PhiloxStream(seed, picture, 0, Purpose.START_MASK))
    val ratio = maskRatio(settings.schedule, firstStep - 1, steps)
    return Start(IntArray(tokens.size) { if (noise[it] < ratio) maskTokenId else tokens[it] }, firstStep, 1f)
}

/**
 * Masks what [repaint] covers; the schedule starts from its share of the grid. Without any token to repaint there is no
 * step.
 *
 * @param encode returns the picture's tokens; called once the strength is known to be good, as it takes its time
 * @throws OptionsException the strength leaves no step to draw the masked tokens in
 */
internal fun inpaintingStart(
    encode: () -> IntArray, repaint: BooleanArray, strength: Double, settings: SamplerSettings, maskTokenId: Int,
): Start {
    val covered = repaint.count { it }
    val steps = settings.steps
    val firstStep = if (covered == 0) steps else steps - (steps * strength).toInt()
    if (covered > 0 && firstStep == steps) {
        val least = ceil(1e5 / steps) / 1e5
        throw OptionsException(
            "strength $strength of $steps steps leaves none to draw what the mask covers; give at least $least",
        )
    }
    val known = encode()
    val tokens = IntArray(known.size) { if (repaint[it]) maskTokenId else known[it] }
    return Start(tokens, firstStep, if (covered == 0) 1f else (covered.toDouble() / repaint.size).toFloat())
}
