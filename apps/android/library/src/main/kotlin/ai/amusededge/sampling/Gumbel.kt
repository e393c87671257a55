package ai.amusededge.sampling

import kotlin.math.ln

/** Smallest probability and smallest argument of a logarithm, as in the reference. */
internal const val TINY = 1e-20f

/** Returns standard Gumbel noise `-log(-log(u))`, arguments kept above 1e-20, each operation rounded to float32. */
internal fun gumbel(u: Float): Float = -log(maxOf(-log(maxOf(u, TINY)), TINY))

internal fun log(x: Float): Float = ln(x.toDouble()).toFloat()

private const val BINS = 1 shl 12
private const val BIN_BITS = 32 - 12

/** Upper bounds of the noise by the top bits of the number that gives it: what spares most of the logarithms. */
private val BOUNDS = FloatArray(BINS) { bin ->
    // Noise grows with the number, but for the last bit of a logarithm.
    gumbel(uniform((((bin + 1L) shl BIN_BITS) - 1).toInt())) + 1e-5f
}

/** No noise is larger. */
internal val LARGEST_NOISE: Float = BOUNDS[BINS - 1]

/** Returns a number that the noise of a whole 32-bit number does not exceed. */
internal fun noiseBound(word: Int): Float = BOUNDS[word ushr BIN_BITS]
