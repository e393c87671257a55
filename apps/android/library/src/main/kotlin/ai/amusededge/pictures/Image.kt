package ai.amusededge.pictures

import ai.amusededge.OptionsException

/**
 * An RGB picture, sRGB.
 *
 * @property data 3 bytes per pixel, row by row
 * @throws OptionsException sizes and bytes do not fit together
 */
public class RgbImage(public val width: Int, public val height: Int, public val data: ByteArray) {
    init {
        checkSize(width, height, data, 3)
    }

    /** Returns the pixels as `0xAARRGGBB`, row by row: what Android's `Bitmap.createBitmap` takes. */
    public fun toArgb(): IntArray = IntArray(width * height) { pixel ->
        val at = 3 * pixel
        (255 shl 24) or (level(data, at) shl 16) or (level(data, at + 1) shl 8) or level(data, at + 2)
    }

    public companion object {
        /** Returns the picture of `0xAARRGGBB` pixels, as Android's `Bitmap.getPixels` gives them; on white. */
        public fun fromArgb(width: Int, height: Int, pixels: IntArray): RgbImage =
            RgbImage(width, height, flat(width, height, pixels, 255))
    }
}

/** A grey picture: of masks 0 to keep and 255 to repaint. [data] has a byte per pixel, row by row. */
public class GreyImage(public val width: Int, public val height: Int, public val data: ByteArray) {
    init {
        checkSize(width, height, data, 1)
    }

    public companion object {
        /** Returns the levels of `0xAARRGGBB` pixels (ITU-R 601-2); on black, so what is transparent is kept. */
        public fun fromArgb(width: Int, height: Int, pixels: IntArray): GreyImage {
            val colours = flat(width, height, pixels, 0)
            return GreyImage(width, height, ByteArray(pixels.size) { pixel ->
                val at = 3 * pixel
                val sum = 19595 * level(colours, at) + 38470 * level(colours, at + 1) + 7471 * level(colours, at + 2)
                ((sum + 0x8000) shr 16).toByte()
            })
        }
    }
}

internal fun level(data: ByteArray, at: Int): Int = data[at].toInt() and 255

private fun checkSize(width: Int, height: Int, data: ByteArray, channels: Int) {
    if (width < 1 || height < 1 || data.size.toLong() != channels.toLong() * width * height) {
        throw OptionsException(
            "a picture of ${width}x$height pixels has ${data.size} bytes; give $channels per pixel, row by row",
        )
    }
}

/** Lays pixels on a grey ground; the quotient by 255 in whole numbers, as Pillow takes it. */
private fun flat(width: Int, height: Int, pixels: IntArray, ground: Int): ByteArray {
    if (width < 1 || height < 1 || pixels.size.toLong() != width.toLong() * height) {
        throw OptionsException("a picture of ${width}x$height pixels has ${pixels.size} numbers; give one per pixel")
    }
    val data = ByteArray(3 * pixels.size)
    pixels.forEachIndexed { pixel, argb ->
        val alpha = argb ushr 24
        for (channel in 0..2) {
            val colour = (argb shr (16 - 8 * channel)) and 255
            val mixed = colour * alpha + ground * (255 - alpha) + 128
            data[3 * pixel + channel] = (((mixed shr 1) + 128 * mixed) shr 15).toByte()
        }
    }
    return data
}
