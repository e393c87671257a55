package ai.amusededge.sampling

import kotlin.math.exp

/** What is smaller than exp of this changes no sum in float32, not 8192 times: the sum is 1 or more. */
private const val LEAST = -40f
private const val PER_UNIT = 32

/** exp(-i / PER_UNIT) */
private val TABLE = DoubleArray(40 * PER_UNIT + 1) { exp(-it.toDouble() / PER_UNIT) }

/** Blocks of this size are added with eight sums side by side. */
private const val PAIRWISE = 128

/**
 * Returns the sum of exp(row - highest) with exponentials rounded to float32 and added in the order in which NumPy adds
 * them; not a number where one of them is none.
 *
 * @param scratch as long as [row], written over
 */
internal fun expSum(row: FloatArray, highest: Float, scratch: FloatArray): Float {
    for (i in row.indices) scratch[i] = expOf(row[i] - highest)
    return pairwise(scratch, 0, row.size)
}

/** Returns exp(x) for x of 0 or less to 2e-11 of itself, or 0 where that is too small to count. */
private fun expOf(x: Float): Float {
    if (x < LEAST) return 0f
    if (!(x <= 0f)) return Float.NaN // of a row that holds what is no number
    val place = (-x * PER_UNIT).toInt()
    val r = x + place.toDouble() / PER_UNIT
    return (TABLE[place] * (1 + r * (1 + r * (0.5 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120))))))).toFloat()
}

private fun pairwise(values: FloatArray, at: Int, count: Int): Float {
    if (count > PAIRWISE) {
        val half = count / 2 - count / 2 % 8
        return pairwise(values, at, half) + pairwise(values, at + half, count - half)
    }
    if (count < 8) return inTurn(values, at, count, 0f)
    var r0 = values[at]
    var r1 = values[at + 1]
    var r2 = values[at + 2]
    var r3 = values[at + 3]
    var r4 = values[at + 4]
    var r5 = values[at + 5]
    var r6 = values[at + 6]
    var r7 = values[at + 7]
    var i = at + 8
    val end = at + count - count % 8
    while (i < end) {
        r0 += values[i]
        r1 += values[i + 1]
        r2 += values[i + 2]
        r3 += values[i + 3]
        r4 += values[i + 4]
        r5 += values[i + 5]
        r6 += values[i + 6]
        r7 += values[i + 7]
        i += 8
    }
    return inTurn(values, i, at + count - i, ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7)))
}

private fun inTurn(values: FloatArray, at: Int, count: Int, start: Float): Float {
    var sum = start
    for (i in at until at + count) sum += values[i]
    return sum
}
