package ai.amusededge.support

import ai.amusededge.pictures.GreyImage
import ai.amusededge.pictures.RgbImage
import ai.amusededge.sampling.PhiloxStream
import ai.amusededge.sampling.Purpose
import ai.amusededge.sampling.uniforms

/** The pixels of a picture that the kit describes by a rule: bytes of a random stream, or rectangles on a ground. */
private fun pixelsOf(rule: Values): ByteArray {
    val (height, width) = rule.ints("size").asList()
    if ("seed" in rule.map) {
        val count = height * width * rule.int("channels")
        val noise = uniforms(count, PhiloxStream(rule.long("seed"), 0, 0, Purpose.START_MASK))
        return ByteArray(count) { (noise[it] * 256).toInt().toByte() }
    }
    val ground = levels(rule["background"])
    val data = ByteArray(height * width * ground.size) { ground[it % ground.size] }
    for (rectangle in rule.list("rectangles")) {
        val (left, top, right, bottom) = (rectangle as List<*>).take(4).map { (it as Number).toInt() }
        val colour = levels(rectangle[4])
        for (y in top until bottom) {
            for (x in left until right) colour.copyInto(data, (y * width + x) * colour.size)
        }
    }
    return data
}

private fun levels(value: Any?): ByteArray =
    (if (value is List<*>) intsOf(value) else intArrayOf((value as Number).toInt())).map { it.toByte() }.toByteArray()

internal fun isGrey(rule: Values): Boolean =
    if ("seed" in rule.map) rule.int("channels") == 1 else rule["background"] !is List<*>

/** The picture of a rule; grey levels become colours. */
internal fun imageOf(rule: Values): RgbImage {
    val (height, width) = rule.ints("size").asList()
    val data = pixelsOf(rule)
    return RgbImage(width, height, if (isGrey(rule)) ByteArray(3 * data.size) { data[it / 3] } else data)
}

/** The mask of a rule; colours become grey levels. */
internal fun maskOf(rule: Values): GreyImage {
    val (height, width) = rule.ints("size").asList()
    if (isGrey(rule)) return GreyImage(width, height, pixelsOf(rule))
    return GreyImage.fromArgb(width, height, imageOf(rule).toArgb())
}
