package ai.amusededge.sampling

/** What a stream of numbers is drawn for: the fourth word of the counter. */
internal object Purpose {
    const val TOKENS = 0L
    const val CONFIDENCE = 1L
    const val START_MASK = 2L
    const val ORDER = 3L
}

private const val M0 = -0x2d18b8f11eb3936dL // 0xD2E7470EE14C6C93
private const val M1 = -0x35a57d9c6aedeea9L // 0xCA5A826395121157
private const val W0 = -0x61c8864680b583ebL // 0x9E3779B97F4A7C15
private const val W1 = -0x4498517a7b3558c5L // 0xBB67AE8584CAA73B
private const val LOW = 0xffffffffL

/** Numbers of a block: four 64-bit words give two each, the low half first. */
internal const val BLOCK = 8

/** Bits a uniform keeps: with 23, `k + 0.5` has 24 significant bits and float32 holds it exactly. */
private const val DROPPED_BITS = 32 - 23
private const val UNIT = 1f / (1 shl 23)

/** Blocks of 32-bit numbers that can be taken in any order. */
internal fun interface Noise {
    /** Writes the 8 numbers of block [index], from 0, to [words]. */
    fun block(index: Long, words: IntArray)
}

/**
 * One stream of Philox 4x64-10, addressed by seed, picture, step and purpose, whose numbers any port can reproduce:
 * docs/random-numbers.md is the specification. Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
 * SC 2011. Longs wrap around, as the unsigned words of the definition do.
 */
internal class PhiloxStream(
    private val seed: Long,
    private val picture: Long,
    private val step: Long,
    private val purpose: Long,
) : Noise {
    override fun block(index: Long, words: IntArray) {
        var c0 = index + 1
        var c1 = picture
        var c2 = step
        var c3 = purpose
        var k0 = seed
        var k1 = 0L
        repeat(10) {
            val high0 = multiplyHigh(M0, c0)
            val high1 = multiplyHigh(M1, c2)
            val low0 = M0 * c0
            val low1 = M1 * c2
            c0 = high1 xor c1 xor k0
            c1 = low1
            c2 = high0 xor c3 xor k1
            c3 = low0
            k0 += W0
            k1 += W1
        }
        words[0] = c0.toInt()
        words[1] = (c0 ushr 32).toInt()
        words[2] = c1.toInt()
        words[3] = (c1 ushr 32).toInt()
        words[4] = c2.toInt()
        words[5] = (c2 ushr 32).toInt()
        words[6] = c3.toInt()
        words[7] = (c3 ushr 32).toInt()
    }
}

/** The upper 64 bits of a product of unsigned numbers. `Math.multiplyHigh` is not on all Androids. */
private fun multiplyHigh(a: Long, b: Long): Long {
    val low = (a and LOW) * (b and LOW)
    val middle = (a ushr 32) * (b and LOW) + (low ushr 32)
    val carry = (middle and LOW) + (a and LOW) * (b ushr 32)
    return (a ushr 32) * (b ushr 32) + (middle ushr 32) + (carry ushr 32)
}

/** Returns the uniform that a whole 32-bit number gives: an odd multiple of 2^-24 strictly between 0 and 1. */
internal fun uniform(word: Int): Float = ((word ushr DROPPED_BITS).toFloat() + 0.5f) * UNIT

/** Returns [count] uniforms of a stream, beginning at its number [first]; those before it cost nothing. */
internal fun uniforms(count: Int, noise: Noise, first: Long = 0): FloatArray {
    val words = IntArray(BLOCK)
    val values = FloatArray(count)
    var block = first / BLOCK
    var at = (first % BLOCK).toInt()
    var i = 0
    while (i < count) {
        noise.block(block++, words)
        while (at < BLOCK && i < count) values[i++] = uniform(words[at++])
        at = 0
    }
    return values
}
