package ai.amusededge.tasks

import ai.amusededge.StateException
import ai.amusededge.bundle.Fields
import ai.amusededge.bundle.JsonException
import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.hex
import ai.amusededge.bundle.parseJson
import ai.amusededge.sampling.Step
import java.io.ByteArrayOutputStream
import java.math.BigInteger
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest
import java.util.Base64
import java.util.zip.DataFormatException
import java.util.zip.DeflaterOutputStream
import java.util.zip.Inflater

private const val VERSION = 1
private const val FORMAT = "amused-edge state"
private const val LARGEST_SIDE = 4096
private const val VALUE_BYTES = 4

/**
 * The state of one picture between two steps: a few KB of text that go on to the same picture in another process, in
 * Python or in a browser. It holds all but pictures and embeddings that the task was given.
 *
 * @property nextStep the step that comes next, from 0; the number of steps when the picture is finished
 * @property tokens (h * w), row by row, as in [Step]
 * @property probability (h * w), as in [Step]
 * @property startingMaskRatio share of the grid that the schedule starts from, in (0, 1]
 */
public class PictureState internal constructor(
    public val parameters: PictureParameters,
    public val nextStep: Int,
    public val gridHeight: Int,
    public val gridWidth: Int,
    public val tokens: IntArray,
    public val probability: FloatArray,
    public val startingMaskRatio: Double,
) {
    /** Whether no step is left. */
    public val isFinished: Boolean get() = nextStep == parameters.settings.steps

    /** Returns the state after a step, in which the picture has this place. */
    public fun after(step: Step, picture: Int = 0): PictureState = PictureState(
        parameters, step.index + 1, gridHeight, gridWidth, step.tokens[picture], step.probability[picture],
        startingMaskRatio,
    )

    /** Returns the state as JSON with a hash of itself. */
    public fun toJson(): String {
        val content = mapOf(
            "format" to FORMAT,
            "version" to VERSION,
            "parameters" to parameters.content(),
            "next_step" to nextStep,
            "starting_mask_ratio" to startingMaskRatio,
            "grid" to listOf(gridHeight, gridWidth),
            "tokens" to packed(tokens.size) { buffer -> tokens.forEach { buffer.putInt(it) } },
            "probability" to packed(probability.size) { buffer -> probability.forEach { buffer.putFloat(it) } },
        )
        return dumpJson(content + ("sha256" to hashOf(content)))
    }

    public companion object {
        /**
         * Reads what [toJson] wrote, here, in Python or in TypeScript.
         *
         * @throws StateException it is damaged, or of another version
         */
        public fun fromJson(text: String): PictureState {
            val content = try {
                parseJson(text, constants = true)
            } catch (error: JsonException) {
                throw damaged(error.message ?: "")
            }
            val values = Fields(content, "state", "it is damaged", ::damaged)
            if (values.text("format") != FORMAT || values.whole("version") != BigInteger.valueOf(VERSION.toLong())) {
                throw StateException("this is no state, or one of another version; use the amused-edge that wrote it")
            }
            val others = (values.names - "sha256").associateWith { values.raw(it) }
            if (values.raw("sha256") != hashOf(others)) {
                throw StateException("the state is damaged: its hash does not fit; begin the picture again")
            }
            return read(values)
        }
    }
}

/** Returns the hash of a state's content: of its JSON with names in order, as Python writes it. */
internal fun hashOf(content: Map<String, Any?>): String {
    val text = dumpJson(content, sorted = true)
    return hex(MessageDigest.getInstance("SHA-256").digest(text.toByteArray(Charsets.US_ASCII)))
}

private fun read(values: Fields): PictureState {
    val parameters = readParameters(values.raw("parameters"))
    val grid = values.ints("grid")
    if (grid.size != 2 || grid.any { it !in 1..LARGEST_SIDE }) {
        throw StateException("the state's grid is ${grid.toList()}; begin the picture again")
    }
    val count = grid[0] * grid[1]
    val nextStep = values.int("next_step")
    val ratio = values.float("starting_mask_ratio")
    val steps = parameters.settings.steps
    if (nextStep !in 0..steps || !(ratio > 0 && ratio <= 1)) {
        throw StateException("the state stands before step $nextStep of $steps, ratio $ratio; begin the picture again")
    }
    val shares = unpacked(values.text("probability"), count)
    val probability = FloatArray(count) { shares.getFloat() }
    if (!probability.all { it in 0f..1f }) {
        throw StateException("the state's probabilities are not within 0 to 1; begin the picture again")
    }
    val ids = unpacked(values.text("tokens"), count)
    return PictureState(parameters, nextStep, grid[0], grid[1], IntArray(count) { ids.getInt() }, probability, ratio)
}

private fun damaged(why: String) = StateException("the state is damaged ($why); begin the picture again")

/** Returns values as bytes, the least first, compressed. */
private fun packed(count: Int, write: (ByteBuffer) -> Unit): String {
    val buffer = ByteBuffer.allocate(VALUE_BYTES * count).order(ByteOrder.LITTLE_ENDIAN)
    write(buffer)
    val bytes = ByteArrayOutputStream()
    DeflaterOutputStream(bytes).use { it.write(buffer.array()) }
    return Base64.getEncoder().encodeToString(bytes.toByteArray())
}

private fun unpacked(text: String, count: Int): ByteBuffer {
    val inflater = Inflater()
    try {
        if (text.length % 4 != 0) throw damaged("it is not base64")
        inflater.setInput(Base64.getDecoder().decode(text))
        val bytes = ByteArray(VALUE_BYTES * count + 1) // one more shows that there is too much
        var size = 0
        while (!inflater.finished() && size < bytes.size) {
            val more = inflater.inflate(bytes, size, bytes.size - size)
            if (more == 0 && !inflater.finished()) throw damaged("its values end too early")
            size += more
        }
        if (!inflater.finished() || size != VALUE_BYTES * count) throw damaged("it has not as many values as tokens")
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
    } catch (error: IllegalArgumentException) {
        throw damaged(error.message ?: "it is not base64")
    } catch (error: DataFormatException) {
        throw damaged(error.message ?: "it is not compressed by zlib")
    } finally {
        inflater.end()
    }
}
