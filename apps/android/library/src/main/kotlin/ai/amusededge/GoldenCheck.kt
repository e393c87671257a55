package ai.amusededge

import ai.amusededge.bundle.Golden
import ai.amusededge.bundle.Tolerance
import ai.amusededge.pictures.RgbImage
import ai.amusededge.pictures.level
import kotlin.math.abs

/** How many logits are stored, and the sides of the corner whose pixels are. */
private const val LOGITS = 16
private const val CORNER = 4

/**
 * How an engine compares with the golden output that a bundle stores.
 *
 * @property sameIds whether the prompt's ids are the same
 * @property logitError largest |difference| of the logits, relative to the largest |logit|
 * @property equalTokens share of the grid drawn alike; it decides nothing, since one near-tie changes what follows
 * @property pixelError largest difference of the corner of the stored tokens' picture, of 255
 * @property tolerance what the bundle allows
 */
public data class GoldenReport(
    val sameIds: Boolean,
    val logitError: Double,
    val equalTokens: Double,
    val pixelError: Int,
    val tolerance: Tolerance,
) {
    /** Whether the engine computes the bundle's numbers, up to rounding. */
    val isReproduced: Boolean
        get() = sameIds && logitError <= tolerance.logits && pixelError <= tolerance.pixels
}

/**
 * Compares what an engine computed with what the bundle stored.
 *
 * @param image of the stored tokens, so that a token drawn otherwise does not count against the decoder
 */
internal fun compareGolden(
    golden: Golden, ids: IntArray, logits: FloatArray, tokens: IntArray, image: RgbImage,
): GoldenReport {
    val corner = IntArray(3 * CORNER * CORNER) { i ->
        val (y, x) = i / (3 * CORNER) to i % (3 * CORNER)
        level(image.data, 3 * y * image.width + x)
    }
    val counts = listOf(
        Triple("input_ids", golden.inputIds.size, ids.size),
        Triple("logits", golden.logits.size, minOf(LOGITS, logits.size)),
        Triple("tokens", golden.tokens.size, tokens.size),
        Triple("pixels", golden.pixels.size, corner.size),
    )
    for ((name, stored, found) in counts) {
        if (stored != found) throw BundleException("golden.json has $stored $name, not $found; copy the bundle again")
    }
    val largest = golden.logits.maxOf { abs(it) }
    val off = golden.logits.indices.map { abs(logits[it] - golden.logits[it]) }
    return GoldenReport(
        ids.contentEquals(golden.inputIds),
        if (off.any { it.isNaN() }) Double.POSITIVE_INFINITY else off.max() / largest,
        tokens.indices.count { tokens[it] == golden.tokens[it] }.toDouble() / tokens.size,
        corner.indices.maxOf { abs(corner[it] - golden.pixels[it]) },
        golden.tolerance,
    )
}
