package ai.amusededge.bundle

import ai.amusededge.BundleException

/**
 * How far an engine may be from the golden output.
 *
 * @property logits largest |difference|, relative to the largest |logit|
 * @property pixels largest difference, of 255
 */
public data class Tolerance(val logits: Double, val pixels: Int)

/**
 * What the graphs give for [prompt] with seed 0 and the bundle's own settings.
 *
 * @property logits of the first step without guidance: the first codes of the grid's first token
 * @property tokens the finished grid, row by row
 * @property pixels the picture's top left corner, row by row, channels last
 */
internal class Golden(
    val prompt: String,
    val inputIds: IntArray,
    val logits: DoubleArray,
    val tokens: IntArray,
    val pixels: IntArray,
    val tolerance: Tolerance,
)

/** Parses `golden.json`. */
internal fun readGolden(text: String): Golden {
    val content = try {
        parseJson(text, constants = true)
    } catch (error: JsonException) {
        throw BundleException("golden.json is not JSON (${error.message}); copy the bundle again")
    }
    val fields = Fields(content, "golden.json")
    val tolerance = fields.child("tolerance")
    return Golden(
        fields.text("prompt"), fields.ints("input_ids"), fields.floats("logits"), fields.ints("tokens"),
        fields.ints("pixels"), Tolerance(tolerance.float("logits"), tolerance.int("pixels")),
    )
}
