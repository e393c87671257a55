package ai.amusededge.sampling

private val LOG_TINY = log(TINY)

/** Logits this far below the highest are looked at first: one of them is the likeliest to win. */
private const val NEAR = 3f

/**
 * Writes guided logits, `u + scale * (c - u)`, to [row], which holds the conditional ones.
 *
 * @param unconditional as long as [row]
 */
internal fun guide(unconditional: FloatArray, row: FloatArray, scale: Float) {
    for (i in row.indices) {
        val u = unconditional[i]
        row[i] = (row[i] - u) * scale + u
    }
}

/**
 * Draws codes and their probabilities from rows of logits, one after the other, with memory that is taken once. Numbers
 * are float32, operation by operation, as NumPy computes them. Not for two threads at once.
 */
internal class RowSampler(private val codes: Int) {
    private val words = IntArray(BLOCK)
    private val scratch = FloatArray(codes)
    private val peaks = FloatArray(codes / BLOCK + 2)

    /**
     * Draws a code from softmax(row) by Gumbel-max: the largest of logit + noise, the lowest code on a tie.
     *
     * What cannot win is left out: blocks of codes whose logits are too small for any noise, once those with the
     * highest logits have set what is to be beaten, and codes whose noise is bounded below it. [drawPlainly] gives the
     * same codes.
     *
     * @param first the place in the stream of the row's first code
     */
    fun draw(row: FloatArray, noise: Noise, first: Long): Int {
        val begin = first / BLOCK
        val skipped = (first - begin * BLOCK).toInt()
        val count = (skipped + codes + BLOCK - 1) / BLOCK
        val near = blockPeaks(row, skipped, count) - NEAR
        var best = Float.NEGATIVE_INFINITY
        var drawn = 0
        for (late in 0..1) {
            for (block in 0 until count) {
                if ((peaks[block] >= near) == (late == 1) || peaks[block] + LARGEST_NOISE < best) continue
                noise.block(begin + block, words)
                val from = block * BLOCK - skipped
                for (code in maxOf(from, 0) until minOf(from + BLOCK, codes)) {
                    val word = words[code - from]
                    if (row[code] + noiseBound(word) < best) continue
                    val noisy = gumbel(uniform(word)) + row[code]
                    if (noisy > best || (noisy == best && code < drawn)) {
                        best = noisy
                        drawn = code
                    }
                }
            }
        }
        return drawn
    }

    /** Returns log softmax(row) at a code, not below log(1e-20); NaN if a logit is no number or infinite. */
    fun logProbability(row: FloatArray, code: Int): Float {
        var peak = row[0]
        for (value in row) if (value > peak) peak = value
        val value = (row[code] - peak) - log(expSum(row, peak, scratch))
        return if (value.isNaN()) value else maxOf(value, LOG_TINY)
    }

    /** Writes the largest logit of each block of noise to [peaks], and returns the largest of all. */
    private fun blockPeaks(row: FloatArray, skipped: Int, count: Int): Float {
        var highest = Float.NEGATIVE_INFINITY
        var code = 0
        for (block in 0 until count) {
            var peak = Float.NEGATIVE_INFINITY
            val end = minOf((block + 1) * BLOCK - skipped, codes)
            while (code < end) {
                val value = row[code++]
                if (value > peak) peak = value
            }
            peaks[block] = peak
            if (peak > highest) highest = peak
        }
        return highest
    }
}

/** The same without leaving anything out: what [RowSampler.draw] is compared with. */
internal fun drawPlainly(row: FloatArray, noise: FloatArray): Int {
    var best = Float.NEGATIVE_INFINITY
    var drawn = 0
    for (code in row.indices) {
        val noisy = gumbel(noise[code]) + row[code]
        if (noisy > best) {
            best = noisy
            drawn = code
        }
    }
    return drawn
}

/** Chooses the [length] least confident tokens, true in the result. Ties break by position, the first is masked. */
internal fun remask(confidence: FloatArray, length: Int): BooleanArray {
    val mask = BooleanArray(confidence.size)
    // A confidence's bits in rising order, its position behind them: one sort of longs, and no boxes.
    val keys = LongArray(confidence.size) { (rising(confidence[it]).toLong() shl 32) or it.toLong() }
    keys.sort()
    for (i in 0 until length) mask[(keys[i] and 0xffffffffL).toInt()] = true
    return mask
}

/** Returns a number that is larger for larger values; of 0 and -0, which are equal, the same. */
private fun rising(value: Float): Int {
    val bits = (value + 0f).toRawBits()
    return if (bits < 0) bits xor Int.MAX_VALUE else bits
}

/**
 * Returns each token's confidence: `log p + temperature * gumbel` where it was just drawn, infinite where it was known.
 *
 * @param logProbabilities of the drawn tokens, at the positions [rows]
 * @param noise uniforms, one for every position
 */
internal fun confidences(
    logProbabilities: FloatArray, rows: IntArray, noise: FloatArray, temperature: Float,
): FloatArray {
    val confidence = FloatArray(noise.size) { Float.POSITIVE_INFINITY }
    rows.forEachIndexed { i, position ->
        confidence[position] = logProbabilities[i] + temperature * gumbel(noise[position])
    }
    return confidence
}

/**
 * Returns confidences that keep tokens by their place in an order: the negative place of what was just drawn, infinite
 * where a token was known.
 *
 * @param start the place at which the order begins; it goes round
 */
internal fun orderConfidences(order: IntArray, start: Int, rows: IntArray): FloatArray {
    val places = FloatArray(order.size)
    for (place in order.indices) places[order[(start + place) % order.size]] = place.toFloat()
    val confidence = FloatArray(order.size) { Float.POSITIVE_INFINITY }
    for (position in rows) confidence[position] = -places[position]
    return confidence
}
