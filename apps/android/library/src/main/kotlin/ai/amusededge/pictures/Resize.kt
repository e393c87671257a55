package ai.amusededge.pictures

import kotlin.math.PI
import kotlin.math.floor
import kotlin.math.sin

/** Pixels, row by row, [channels] bytes each. */
internal class Pixels(val width: Int, val height: Int, val channels: Int, val data: ByteArray)

/** A part of a picture, in pixels and their fractions. */
internal class Box(val left: Double, val top: Double, val right: Double, val bottom: Double)

private const val SUPPORT = 3.0
private const val PRECISION = 1 shl 22

/**
 * Brings a part of a picture to a size by Lanczos filtering, in whole numbers: pixel for pixel what Pillow gives, so
 * that a task's picture has the same tokens here as there.
 */
internal fun resize(pixels: Pixels, width: Int, height: Int, box: Box? = null): Pixels {
    val part = box ?: Box(0.0, 0.0, pixels.width.toDouble(), pixels.height.toDouble())
    val across = weightsOf(pixels.width, part.left, part.right, width)
    val down = weightsOf(pixels.height, part.top, part.bottom, height)
    // The order of Pillow 13: down first where that leaves out many more rows than the other would columns.
    val rowsLess = pixels.height - height
    return if (rowsLess > 0 && rowsLess > 2 * (pixels.width - width)) {
        resizeRows(resizeColumns(pixels, down), across)
    } else {
        resizeColumns(resizeRows(pixels, across), down)
    }
}

private fun resizeRows(pixels: Pixels, across: List<Weights>?): Pixels {
    if (across == null) return pixels
    val channels = pixels.channels
    val width = across.size
    val data = ByteArray(width * pixels.height * channels)
    for (y in 0 until pixels.height) {
        across.forEachIndexed { x, weights ->
            for (c in 0 until channels) {
                val from = (y * pixels.width + weights.first) * channels + c
                data[(y * width + x) * channels + c] = weighted(pixels.data, from, channels, weights.values)
            }
        }
    }
    return Pixels(width, pixels.height, channels, data)
}

private fun resizeColumns(pixels: Pixels, down: List<Weights>?): Pixels {
    if (down == null) return pixels
    val stride = pixels.width * pixels.channels
    val data = ByteArray(stride * down.size)
    down.forEachIndexed { y, weights ->
        for (x in 0 until stride) {
            data[y * stride + x] = weighted(pixels.data, weights.first * stride + x, stride, weights.values)
        }
    }
    return Pixels(pixels.width, down.size, pixels.channels, data)
}

private fun weighted(data: ByteArray, first: Int, stride: Int, weights: IntArray): Byte {
    var sum = PRECISION.toLong() / 2
    var at = first
    for (weight in weights) {
        sum += level(data, at).toLong() * weight
        at += stride
    }
    return Math.floorDiv(sum, PRECISION.toLong()).coerceIn(0, 255).toByte()
}

/** Of one pixel of the result: the first pixel that it is made of, and the weights of that and the next ones. */
private class Weights(val first: Int, val values: IntArray)

/** Returns the weights of each pixel of the result; null where all pixels stay as they are. */
private fun weightsOf(size: Int, begin: Double, end: Double, wanted: Int): List<Weights>? {
    if (begin == 0.0 && end == size.toDouble() && wanted == size) return null
    val from = begin.toFloat() // as Pillow, which has a part's borders in float32
    val scale = (end.toFloat() - from).toDouble() / wanted
    val filter = maxOf(scale, 1.0)
    val support = SUPPORT * filter
    return List(wanted) { place ->
        val center = from + (place + 0.5) * scale
        val first = maxOf((center - support + 0.5).toInt(), 0)
        val last = minOf((center + support + 0.5).toInt(), size)
        val raw = DoubleArray(last - first) { lanczos((it + first - center + 0.5) * (1 / filter)) }
        var sum = 0.0
        for (weight in raw) sum += weight
        Weights(first, IntArray(raw.size) { rounded(if (sum == 0.0) raw[it] else raw[it] / sum) })
    }
}

private fun rounded(weight: Double): Int = (weight * PRECISION + (if (weight < 0) -0.5 else 0.5)).toInt()

private fun lanczos(x: Double): Double = if (x >= -SUPPORT && x < SUPPORT) sinc(x) * sinc(x / SUPPORT) else 0.0

private fun sinc(x: Double): Double = if (x == 0.0) 1.0 else sin(x * PI) / (x * PI)

/** Rounds to a whole number, halves to the even one, as Python does. */
internal fun roundHalfEven(value: Double): Int = Math.rint(value).toInt()

internal fun floorOf(value: Double): Int = floor(value).toInt()
