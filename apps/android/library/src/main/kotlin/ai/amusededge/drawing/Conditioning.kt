package ai.amusededge.drawing

import ai.amusededge.Cancellation
import ai.amusededge.bundle.Geometry
import ai.amusededge.bundle.MicroConditioning
import ai.amusededge.bundle.Role
import ai.amusededge.engines.CheckedGraph
import ai.amusededge.engines.GraphStore
import ai.amusededge.engines.Tensor
import ai.amusededge.quoted
import ai.amusededge.tasks.Prompt

/** Named tensors. */
internal typealias Tensors = Map<String, Tensor>

/** Returns the five micro-conditions of a picture: width, height, crop top, crop left, aesthetic score. */
internal fun microConditions(geometry: Geometry, values: MicroConditioning): List<Float> = listOf(
    geometry.imageWidth.toFloat(), geometry.imageHeight.toFloat(), values.cropTop.toFloat(), values.cropLeft.toFloat(),
    values.aestheticScore.toFloat(),
)

/**
 * From prompts to what the denoiser reads: text encoder and conditioner, each run once per prompt, one prompt at a time
 * so that none depends on its neighbours. For several threads.
 *
 * @param capacity how many conditionings are kept for prompts that come again, such as the empty negative prompt
 */
internal class PromptConditioner(
    private val tokenizer: PromptTokenizer,
    private val graphs: GraphStore,
    capacity: Int,
    private val warn: (String) -> Unit,
) : AutoCloseable {
    private data class Key(val prompt: Any, val micro: List<Float>)

    private val remembered = Remembered<Key, Tensors>(capacity)

    /** Returns the conditioning of each prompt, batch 1. */
    fun condition(prompts: List<Prompt>, micro: List<Float>, cancellation: Cancellation?): List<Tensors> {
        val keys = prompts.map { Key(nameOf(it), micro) }
        val found = HashMap<Key, Tensors>()
        val missing = LinkedHashMap<Key, Prompt>()
        keys.zip(prompts).forEach { (key, prompt) ->
            val known = remembered[key]
            if (known == null) missing[key] = prompt else found[key] = known
        }
        if (missing.isNotEmpty()) {
            val encoded = encode(missing, cancellation)
            graphs.use(Role.CONDITIONER) { conditioner ->
                for ((key, text) in encoded) {
                    cancellation?.check()
                    val conditions = conditioner.input("micro_conditions", 1).put(micro.toFloatArray())
                    val made = conditioner.run(text(conditioner) + ("micro_conditions" to conditions))
                    found[key] = remembered.put(key, made)
                }
            }
        }
        return keys.map { found.getValue(it) }
    }

    /** Returns what the text encoder says of a text. */
    fun encodeText(text: String, cancellation: Cancellation?): Tensors =
        graphs.use(Role.TEXT_ENCODER) { encode(it, text, cancellation) }

    /** Drops what is remembered, and remembers nothing more. */
    override fun close(): Unit = remembered.close()

    /** Returns for each prompt a function that gives what the conditioner takes of it. */
    private fun <K> encode(prompts: Map<K, Prompt>, cancellation: Cancellation?): Map<K, (CheckedGraph) -> Tensors> {
        val made = LinkedHashMap<K, (CheckedGraph) -> Tensors>()
        val texts = prompts.mapNotNull { (key, prompt) -> (prompt as? Prompt.Text)?.let { key to it.text } }
        if (texts.isNotEmpty()) {
            graphs.use(Role.TEXT_ENCODER) { encoder ->
                for ((key, text) in texts) {
                    val encoded = encode(encoder, text, cancellation)
                    made[key] = { encoded }
                }
            }
        }
        for ((key, prompt) in prompts) {
            if (prompt is Prompt.Embeddings) {
                made[key] = { conditioner ->
                    mapOf(
                        "hidden_states" to conditioner.input("hidden_states", 1).put(prompt.hidden),
                        "pooled" to conditioner.input("pooled", 1).put(prompt.pooled),
                    )
                }
            }
        }
        return made
    }

    private fun encode(encoder: CheckedGraph, text: String, cancellation: Cancellation?): Tensors {
        cancellation?.check()
        val encoded = tokenizer.encode(text)
        encoded.cut?.let { warn("the text encoder reads ${encoded.ids.size} tokens; cut off: ${quoted(it)}") }
        return encoder.run(mapOf("input_ids" to encoder.input("input_ids", 1).put(encoded.ids)))
    }
}

/** Returns what tells prompts apart; no text is mistaken for embeddings. */
private fun nameOf(prompt: Prompt): Any = if (prompt is Prompt.Embeddings) prompt.sha256 to "embeddings" else prompt

/** Puts tensors of one row together. */
internal fun stack(parts: List<Tensors>): Tensors =
    if (parts.size == 1) parts[0]
    else parts[0].mapValues { (name, first) ->
        Tensor(first.dtype, listOf(parts.size) + first.shape.drop(1)).also { all ->
            val target = all.data
            parts.forEach { target.put(it.getValue(name).data) }
        }
    }
