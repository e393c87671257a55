package ai.amusededge.tasks

import ai.amusededge.StateException
import ai.amusededge.bundle.Fields
import ai.amusededge.bundle.MicroConditioning
import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.readMicroConditioning
import ai.amusededge.checkText
import ai.amusededge.quoted
import java.math.BigInteger

private val SHARED = listOf("kind", "prompt", "negative_prompt", "picture", "micro_conditioning")

/** What a kind of task is given beside its prompt. */
internal val SOURCES = mapOf(
    "text_to_image" to listOf(), "variation" to listOf("image"), "inpainting" to listOf("image", "mask"),
)

/** A kind's own fields, by their names in files. */
private val OWN = mapOf(
    "text_to_image" to listOf(),
    "variation" to listOf("strength", "fit"),
    "inpainting" to listOf("strength", "fit", "coverage", "paste_back", "feather"),
)

/**
 * What files say of the task of one picture.
 *
 * @property prompt a text; or null, and embeddings had the hash [promptHash]
 * @property picture index within its prompt
 * @property hashes of each of the kind's sources
 * @property own the kind's own fields, by their names in files
 */
internal class TaskRecord(
    val kind: String,
    val prompt: Any,
    val negativePrompt: Any,
    val picture: ULong,
    val micro: MicroConditioning?,
    val hashes: Map<String, String>,
    val own: Map<String, Any?>,
) {
    fun toJson(): Map<String, Any?> = mapOf(
        "kind" to kind,
        "prompt" to promptToJson(prompt),
        "negative_prompt" to promptToJson(negativePrompt),
        "picture" to BigInteger(picture.toString()),
        "micro_conditioning" to micro?.let {
            mapOf("crop_top" to it.cropTop, "crop_left" to it.cropLeft, "aesthetic_score" to it.aestheticScore)
        },
    ) + hashes.mapKeys { (name, _) -> "${name}_sha256" } + own

    /** Whether two records are of the same picture; a whole number is the same as a float. */
    fun isSame(other: TaskRecord): Boolean = comparable() == other.comparable()

    private fun comparable(): String {
        val numbers = own.mapValues { (_, value) -> if (value is BigInteger) value.toDouble() else value }
        return dumpJson(toJson() + numbers, sorted = true)
    }
}

/** Stands for prompt embeddings, which are not kept. */
internal data class EmbeddingsHash(val sha256: String)

internal fun recordOf(task: Task): TaskRecord = TaskRecord(
    task.kind,
    nameOf(task.prompts[0]),
    nameOf(task.negativePrompts[0]),
    task.firstPicture,
    task.microConditioning,
    when (task) {
        is TextToImage -> mapOf()
        is Variation -> mapOf("image" to task.imageHash)
        is Inpainting -> mapOf("image" to task.imageHash, "mask" to task.maskHash)
    },
    when (task) {
        is TextToImage -> mapOf()
        is Variation -> mapOf("strength" to task.strength, "fit" to task.fit.id)
        is Inpainting -> mapOf(
            "strength" to task.strength, "fit" to task.fit.id, "coverage" to task.coverage.id,
            "paste_back" to task.pasteBack, "feather" to BigInteger.valueOf(task.feather.toLong()),
        )
    },
)

/** Reads what [TaskRecord.toJson] returned, and checks that there is nothing else. */
internal fun readRecord(values: Fields, refusal: (String) -> StateException): TaskRecord {
    val kind = values.text("kind")
    val own = OWN[kind] ?: throw StateException("the task ${quoted(kind)} is not known to this amused-edge; upgrade it")
    val sources = SOURCES.getValue(kind)
    val expected = (SHARED + sources.map { "${it}_sha256" } + own).sorted()
    if (values.names.sorted() != expected) {
        throw refusal("the task has ${quoted(values.names)}, not ${quoted(expected)}; it is damaged")
    }
    return TaskRecord(
        kind,
        readPrompt(values, "prompt"),
        readPrompt(values, "negative_prompt"),
        readUnsigned(values, "picture", refusal),
        values.optional("micro_conditioning")?.let(::readMicroConditioning),
        sources.associateWith { readText(values, "${it}_sha256") },
        own.associateWith { plain(it, values.raw(it)) },
    )
}

/** Returns a whole number in [0, 2^64). */
internal fun readUnsigned(values: Fields, name: String, refusal: (String) -> StateException): ULong {
    val number = values.whole(name)
    if (number.signum() < 0 || number.bitLength() > 64) {
        throw refusal("$name is ${quoted(number)}; it must be 0 or more and below 2^64")
    }
    return number.toLong().toULong()
}

private fun nameOf(prompt: Prompt): Any = when (prompt) {
    is Prompt.Text -> prompt.text
    is Prompt.Embeddings -> EmbeddingsHash(prompt.sha256)
}

private fun promptToJson(prompt: Any): Any =
    if (prompt is EmbeddingsHash) mapOf("embeddings_sha256" to prompt.sha256) else prompt

private fun readPrompt(values: Fields, name: String): Any =
    if (values.raw(name) is String) readText(values, name)
    else EmbeddingsHash(readText(values.child(name), "embeddings_sha256"))

private fun readText(values: Fields, name: String): String = values.text(name).also(::checkText)

private fun plain(name: String, value: Any?): Any {
    if (value == null || value is List<*> || value is Map<*, *>) {
        throw StateException("the task's $name is ${quoted(value)}; it is damaged")
    }
    if (value is String) checkText(value)
    return value
}
