package ai.amusededge.sampling

import kotlin.math.floor

/**
 * Returns all positions of a grid, row by row from 0, in the order in which the two-dimensional Halton sequence first
 * reaches them: point i, from 1, lies in row `floor(inverse_2(i) * height)`, column `floor(inverse_3(i) * width)`.
 *
 * Every beginning of the order is spread evenly. Drawing neighbours in one step, blind to each other, is what spoils
 * pictures of masked image models (Besnier et al., "Halton Scheduler for Masked Generative Image Transformer", 2025).
 */
internal fun haltonOrder(height: Int, width: Int): IntArray {
    val order = IntArray(height * width)
    val reached = BooleanArray(order.size)
    var found = 0
    var point = 1
    while (found < order.size) {
        val row = floor(radicalInverse(point, 2) * height).toInt()
        val position = row * width + floor(radicalInverse(point, 3) * width).toInt()
        if (!reached[position]) {
            reached[position] = true
            order[found++] = position
        }
        point++
    }
    return order
}

/** Mirrors the digits of a whole number at the point: in base 2, 6 = 110 becomes 0.011 = 0.375. */
private fun radicalInverse(index: Int, base: Int): Double {
    var value = 0.0
    var weight = 1.0 / base
    var rest = index
    while (rest > 0) {
        value += rest % base * weight
        weight /= base
        rest /= base
    }
    return value
}
