package ai.amusededge.tasks

import ai.amusededge.OptionsException
import ai.amusededge.StateException
import ai.amusededge.bundle.Fields
import ai.amusededge.bundle.JsonException
import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.parseJson
import ai.amusededge.checkText
import ai.amusededge.pictures.Coverage
import ai.amusededge.pictures.Fit
import ai.amusededge.pictures.GreyImage
import ai.amusededge.pictures.RgbImage
import ai.amusededge.sampling.GenerationOptions
import ai.amusededge.sampling.SamplerSettings
import ai.amusededge.sampling.choice
import ai.amusededge.sampling.optionsOf
import ai.amusededge.sampling.readSettings
import ai.amusededge.sampling.settingsToJson
import java.math.BigInteger

private const val VERSION = 1
private const val FORMAT = "amused-edge picture"

/**
 * Everything that one picture was drawn from: what the PNG files of the command line hold as JSON, and what a saved
 * state belongs to.
 *
 * @property bundleName for people
 */
public class PictureParameters internal constructor(
    public val bundleName: String,
    public val bundleSha256: String,
    internal val record: TaskRecord,
    public val seed: ULong,
    public val settings: SamplerSettings,
) {
    /** The prompt's text; null where embeddings were given. */
    public val prompt: String? get() = record.prompt as? String

    /** Index of the picture within its prompt. */
    public val picture: ULong get() = record.picture

    /** The options that draw the picture again. */
    public val options: GenerationOptions get() = optionsOf(seed, settings)

    /** Returns the parameters as JSON, which Python and TypeScript read. */
    public fun toJson(): String = dumpJson(content())

    internal fun content(): Map<String, Any?> = mapOf(
        "format" to FORMAT,
        "version" to VERSION,
        "bundle" to mapOf("name" to bundleName, "sha256" to bundleSha256),
        "task" to record.toJson(),
        "seed" to BigInteger(seed.toString()),
        "settings" to settingsToJson(settings),
    )

    /**
     * Returns the task of the picture.
     *
     * @throws StateException a picture is missing, too many, or not the one of then; or embeddings were given
     */
    public fun restore(image: RgbImage? = null, mask: GreyImage? = null): Task {
        val needed = SOURCES.getValue(record.kind)
        for ((name, source) in listOf("image" to image, "mask" to mask)) {
            if ((name in needed) != (source != null)) {
                val said = if (name in needed) "needs its $name; give it as it was" else "has no $name; leave it out"
                throw StateException("${record.kind} $said")
            }
        }
        val built = try {
            build(image, mask)
        } catch (error: OptionsException) {
            throw StateException("the picture's task cannot be drawn again: ${error.message}")
        }
        return if (needed.isEmpty()) built else given(built)
    }

    /** Returns the picture's task among those of a task that was given. */
    internal fun given(task: Task): Task {
        val same = task.places.filter { it.picture == record.picture }.map(task::single)
        return same.firstOrNull { recordOf(it).isSame(record) }
            ?: throw StateException("the task that was given is not the one of the picture; give the same one")
    }

    private fun build(image: RgbImage?, mask: GreyImage?): Task {
        val prompt = listOf(promptOf(record.prompt))
        val negative = listOf(promptOf(record.negativePrompt))
        if (image == null) return TextToImage(prompt, negative, 1, record.picture, record.micro)
        val own = record.own
        val strength = number("strength")
        val fit = choice("fit", own["fit"], Fit.values()) { it.id }
        if (mask == null) {
            return Variation(prompt, listOf(image), strength, fit, negative, 1, record.picture, record.micro)
        }
        return Inpainting(
            prompt, listOf(image), listOf(mask), strength, fit,
            choice("coverage", own["coverage"], Coverage.values()) { it.id },
            own["paste_back"] as? Boolean ?: throw OptionsException("paste_back is no truth value"),
            number("feather").toInt(), negative, 1, record.picture, record.micro,
        )
    }

    private fun number(name: String): Double =
        (record.own[name] as? Number)?.toDouble() ?: throw OptionsException("$name is no number")

    private fun promptOf(prompt: Any): Prompt =
        (prompt as? String)?.let { Prompt.Text(it) }
            ?: throw StateException("the picture was drawn from prompt embeddings; give them again")

    public companion object {
        /**
         * Reads what [toJson] wrote, here, in Python or in TypeScript.
         *
         * @throws StateException it is anything else
         */
        public fun fromJson(text: String): PictureParameters = try {
            readParameters(parseJson(text, constants = true))
        } catch (error: JsonException) {
            throw StateException("the parameters of a picture are not JSON: ${error.message}")
        }
    }
}

internal fun readParameters(content: Any?): PictureParameters = try {
    val values = Fields(content, "parameters", "it is damaged", ::unreadable)
    if (values.text("format") != FORMAT || values.whole("version") != BigInteger.valueOf(VERSION.toLong())) {
        throw StateException("these are parameters of another format or version; use the amused-edge that wrote it")
    }
    val bundle = values.child("bundle")
    PictureParameters(
        bundle.text("name").also(::checkText),
        bundle.text("sha256").also(::checkText),
        readRecord(values.child("task"), ::unreadable),
        readUnsigned(values, "seed", ::unreadable),
        readSettings(values.child("settings")),
    )
} catch (error: OptionsException) {
    throw unreadable(error.message ?: "")
}

private fun unreadable(why: String) = StateException("the parameters of a picture cannot be read: $why")
