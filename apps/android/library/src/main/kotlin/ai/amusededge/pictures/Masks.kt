package ai.amusededge.pictures

/** The least grey level that means repaint. */
private const val HALF = 128

/** Tokens that are drawn anew: covered by half or more, or by any pixel of the mask. [id] is the name in files. */
public enum class Coverage(public val id: String) { HALF("half"), ANY("any") }

/**
 * Returns the tokens to draw anew from a mask of the picture's size. Half asks for a level of 128 or more after Lanczos
 * filtering to the grid, as the reference does for grey masks; any takes every token with at least one such pixel.
 */
internal fun tokenMask(mask: GreyImage, height: Int, width: Int, coverage: Coverage): BooleanArray {
    if (coverage == Coverage.HALF) {
        val levels = resize(Pixels(mask.width, mask.height, 1, mask.data), width, height).data
        return BooleanArray(levels.size) { level(levels, it) >= HALF }
    }
    val repaint = BooleanArray(height * width)
    for (pixel in mask.data.indices) {
        if (level(mask.data, pixel) >= HALF) {
            val row = floorOf((pixel / mask.width) / (mask.height.toDouble() / height))
            val column = floorOf((pixel % mask.width) / (mask.width.toDouble() / width))
            repaint[row * width + column] = true
        }
    }
    return repaint
}

/** Returns the pixels to repaint. */
internal fun pixelMask(mask: GreyImage): BooleanArray = BooleanArray(mask.data.size) { level(mask.data, it) >= HALF }

/**
 * Returns [drawn] where [repaint] is set, and [original] to the pixel elsewhere.
 *
 * @param feather width in pixels, 0 to 256, over which the original fades out; it lies within the repainted part, and
 * is narrower where that is
 */
internal fun pasteBack(drawn: RgbImage, original: RgbImage, repaint: BooleanArray, feather: Int): RgbImage {
    val most = if (feather == 0) 1 else feather + 1
    val depth = depthOf(repaint, drawn.width, drawn.height, most)
    val deepest = maxOf(1, depth.maxOrNull() ?: 1)
    val data = ByteArray(drawn.data.size) { i ->
        val weight = depth[i / 3].toFloat() / deepest
        val old = level(original.data, i).toFloat()
        roundHalfEven((old + weight * (level(drawn.data, i) - old)).toDouble()).toByte()
    }
    return RgbImage(drawn.width, drawn.height, data)
}

/** Returns how many pixels each lies inside the mask, 0 outside and at most [most]; a picture's border is no edge. */
private fun depthOf(repaint: BooleanArray, width: Int, height: Int, most: Int): IntArray {
    val depth = IntArray(repaint.size)
    var inside = repaint
    var level = 0
    while (level++ < most && inside.any { it }) {
        for (i in depth.indices) if (inside[i]) depth[i]++
        inside = worn(worn(inside, width, height, 1, width), height, width, width, 1)
    }
    return depth
}

/** Takes away what has something outside beside it along one axis: [count] lines of [length] places. */
private fun worn(inside: BooleanArray, length: Int, count: Int, step: Int, stride: Int): BooleanArray {
    val left = BooleanArray(inside.size)
    for (line in 0 until count) {
        for (place in 0 until length) {
            val at = line * stride + place * step
            val before = place == 0 || inside[at - step]
            left[at] = inside[at] && before && (place == length - 1 || inside[at + step])
        }
    }
    return left
}
