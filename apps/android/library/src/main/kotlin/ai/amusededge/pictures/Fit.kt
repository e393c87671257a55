package ai.amusededge.pictures

import ai.amusededge.OptionsException
import kotlin.math.abs

private const val GREY: Byte = -128
private const val BLACK: Byte = 0

/**
 * How a picture is brought to the bundle's size: cut what is too much from the middle, add grey borders, change its
 * proportions, or refuse a picture of other proportions. [id] is the name in files.
 */
public enum class Fit(public val id: String) { CROP("crop"), PAD("pad"), STRETCH("stretch"), EXACT("exact") }

internal fun RgbImage.fitted(width: Int, height: Int, how: Fit): RgbImage =
    if (this.width == width && this.height == height) this
    else RgbImage(width, height, fit(Pixels(this.width, this.height, 3, data), width, height, how))

internal fun GreyImage.fitted(width: Int, height: Int, how: Fit): GreyImage =
    if (this.width == width && this.height == height) this
    else GreyImage(width, height, fit(Pixels(this.width, this.height, 1, data), width, height, how))

private fun fit(pixels: Pixels, width: Int, height: Int, how: Fit): ByteArray = when (how) {
    Fit.PAD -> padded(pixels, width, height)
    Fit.CROP -> resize(pixels, width, height, middle(pixels, width, height)).data
    Fit.STRETCH -> resize(pixels, width, height).data
    Fit.EXACT -> {
        checkProportions(pixels.width, pixels.height, width, height)
        resize(pixels, width, height).data
    }
}

/** Throws [OptionsException] if a picture has not the proportions of a size, up to a pixel. */
internal fun checkProportions(imageWidth: Int, imageHeight: Int, width: Int, height: Int) {
    val off = abs(imageWidth.toLong() * height - imageHeight.toLong() * width)
    if (off >= maxOf(imageWidth, imageHeight)) {
        throw OptionsException(
            "a picture of ${imageWidth}x$imageHeight has other proportions than the bundle's ${width}x$height; " +
                "choose another size, other margins, or let it be cropped, padded or stretched",
        )
    }
}

/** Returns the largest part in the middle that has the proportions of a size. */
private fun middle(pixels: Pixels, width: Int, height: Int): Box {
    val found = pixels.width.toDouble() / pixels.height
    val wanted = width.toDouble() / height
    val cropWidth = if (found > wanted) wanted * pixels.height else pixels.width.toDouble()
    val cropHeight = if (found < wanted) pixels.width / wanted else pixels.height.toDouble()
    val left = (pixels.width - cropWidth) * 0.5
    val top = (pixels.height - cropHeight) * 0.5
    return Box(left, top, left + cropWidth, top + cropHeight)
}

/** Returns the pixels of a picture made as large as fits, between borders: grey, or black of a grey picture. */
private fun padded(pixels: Pixels, width: Int, height: Int): ByteArray {
    val scale = minOf(width.toDouble() / pixels.width, height.toDouble() / pixels.height)
    val inner = resize(
        pixels,
        minOf(width, maxOf(1, roundHalfEven(pixels.width * scale))),
        minOf(height, maxOf(1, roundHalfEven(pixels.height * scale))),
    )
    val channels = pixels.channels
    val data = ByteArray(width * height * channels) { if (channels == 3) GREY else BLACK }
    val left = (width - inner.width) / 2
    val top = (height - inner.height) / 2
    val row = inner.width * channels
    for (y in 0 until inner.height) {
        inner.data.copyInto(data, ((top + y) * width + left) * channels, y * row, (y + 1) * row)
    }
    return data
}
