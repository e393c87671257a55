package ai.amusededge

import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.parseJson
import ai.amusededge.bundle.readGolden
import ai.amusededge.bundle.readManifest
import ai.amusededge.drawing.PromptTokenizer
import ai.amusededge.engines.ProtobufException
import ai.amusededge.engines.externalData
import ai.amusededge.support.DEMO
import ai.amusededge.support.Tests
import ai.amusededge.support.VectorSet
import ai.amusededge.support.check
import ai.amusededge.tasks.PictureParameters
import ai.amusededge.tasks.PictureState
import ai.amusededge.tasks.hashOf
import java.io.File
import java.math.BigInteger
import java.util.Random

/** Inputs of each kind, always the same; FUZZ_RUNS asks for more of them, FUZZ_SEED for others. */
private val INPUTS = System.getenv("FUZZ_RUNS")?.toInt() ?: 150
private val SEED = System.getenv("FUZZ_SEED")?.toLong() ?: 1

/** Values that stand where others are expected. */
private val ODD = listOf(
    null, true, BigInteger.ZERO, -BigInteger.ONE, BigInteger.TWO.pow(31), BigInteger.TWO.pow(64), 1.5, 1e308,
    "", "..", "/etc/passwd", "a\u0000b", "\ud800", emptyList<Any>(), emptyMap<String, Any>(),
)

/** What reads text that others made takes whatever comes, or throws one of the library's own errors. */
internal fun mutatedTests(runner: Tests) {
    fun states() = VectorSet("states").cases.map { it.given.text("text") }.take(4)
    val kinds = mapOf<String, Pair<() -> List<String>, (String) -> Any?>>(
        "manifests" to ({ listOf(File(DEMO, "manifest.json").readText()) } to ::readManifest),
        "golden pictures" to ({ listOf(File(DEMO, "golden.json").readText()) } to ::readGolden),
        "states" to (::states to { text: String -> PictureState.fromJson(sealedAgain(text)) }),
        "parameters" to ({ states().map { dumpJson(treeOf(it)["parameters"]) } } to { PictureParameters.fromJson(it) }),
        "tokenizers" to ({ listOf(smallTokenizer()) } to { PromptTokenizer(it, 77).encode("a fox, é\u202e") }),
    )
    for ((name, kind) in kinds) {
        val (sources, read) = kind
        runner.test("mutated $name are read or refused") {
            val chance = Random(SEED + name.hashCode())
            val seeds = sources()
            seeds.forEach { read(it) }
            repeat(INPUTS) { taken { read(mutated(seeds[chance.nextInt(seeds.size)], chance)) } }
        }
    }
    runner.test("mutated models give their references or are refused") {
        val model = File(DEMO, "image_encoder.onnx").readBytes().copyOf(3000)
        val chance = Random(SEED)
        repeat(INPUTS) {
            val changed = model.copyOf(if (chance.nextBoolean()) model.size else chance.nextInt(model.size))
            repeat(3) { if (changed.isNotEmpty()) changed[chance.nextInt(changed.size)] = chance.nextInt().toByte() }
            taken { externalData(changed) }
        }
    }
}

/** Runs what may refuse its input with an error of the library, or with one of which its callers make that. */
private fun taken(read: () -> Any?) {
    try {
        read()
    } catch (error: AmusedEdgeException) {
        check("\n" !in error.message.orEmpty()) { "several lines: ${error.message}" }
    } catch (_: ProtobufException) {
        return
    }
}

/** Changes a place in JSON, or a piece of its text. */
private fun mutated(text: String, chance: Random): String {
    if (chance.nextInt(4) == 0) {
        val at = chance.nextInt(text.length)
        val put = listOf("", "\"", "[[[[", "\u0000", "9".repeat(400))[chance.nextInt(5)]
        return text.take(at) + put + text.drop(at + 1)
    }
    val tree = parseJson(text)
    val count = placesOf(tree)
    return dumpJson(changedAt(tree, intArrayOf(chance.nextInt(count)), ODD[chance.nextInt(ODD.size)], chance))
}

private fun placesOf(tree: Any?): Int = when (tree) {
    is Map<*, *> -> tree.values.sumOf { 1 + placesOf(it) }
    is List<*> -> tree.sumOf { 1 + placesOf(it) }
    else -> 0
}.coerceAtLeast(1)

/** Returns a tree in which the value at a place, counted from the root, is another, is gone, or is there twice. */
private fun changedAt(tree: Any?, left: IntArray, value: Any?, chance: Random): Any? = when (tree) {
    is Map<*, *> -> buildMap<String, Any?> {
        for ((name, inner) in tree) {
            if (left[0]-- != 0) put(name as String, changedAt(inner, left, value, chance))
            else if (chance.nextInt(4) != 0) put(name as String, value)
        }
    }
    is List<*> -> tree.flatMap { inner ->
        if (left[0]-- != 0) listOf(changedAt(inner, left, value, chance))
        else listOf(value, inner).take(chance.nextInt(3))
    }
    else -> tree
}

@Suppress("UNCHECKED_CAST")
private fun treeOf(text: String) = parseJson(text) as Map<String, Any?>

/** Gives a state the hash that fits it, without which all else would go unread. */
private fun sealedAgain(text: String): String {
    val tree = runCatching { parseJson(text) }.getOrNull() as? Map<*, *> ?: return text
    val content = tree.entries.associate { (name, value) -> name as String to value } - "sha256"
    return dumpJson(content + ("sha256" to hashOf(content)))
}

/** The demo's tokenizer with few words. */
private fun smallTokenizer(): String {
    val tree = treeOf(File(DEMO, "tokenizer.json").readText())
    val model = tree["model"] as Map<*, *>
    val words = (model["vocab"] as Map<*, *>).filter { (name, id) ->
        (id as BigInteger).toInt() < 30 || (name as String).startsWith("<|")
    }
    val small = model.entries.associate { (name, value) -> name as String to value }
    return dumpJson(tree + ("model" to small + mapOf("vocab" to words, "merges" to emptyList<Any>())))
}
