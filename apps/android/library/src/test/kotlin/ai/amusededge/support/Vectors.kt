package ai.amusededge.support

import ai.amusededge.bundle.parseJson
import java.io.File
import java.math.BigInteger
import kotlin.math.abs

/** The repository, from whose root tests are run. */
internal val ROOT = File(System.getProperty("amused.root", ".")).absoluteFile
internal val DEMO = File(ROOT, "demo/bundle")

/** A JSON object, with what tests ask of one. */
internal class Values(val map: Map<String, Any?>) {
    operator fun get(name: String): Any? = map[name]

    fun int(name: String): Int = (map[name] as BigInteger).toInt()

    fun intOr(name: String, other: Int): Int = (map[name] as? BigInteger)?.toInt() ?: other

    fun text(name: String): String = map[name] as String

    /** A whole number of 64 bits, as text. */
    fun long(name: String): Long = (map[name]?.toString() ?: "0").toULong().toLong()

    fun double(name: String): Double = (map[name] as Number).toDouble()

    fun float(name: String): Float = double(name).toFloat()

    fun values(name: String): Values = of(map[name])

    fun list(name: String): List<Any?> = map[name] as List<*>

    fun all(name: String): List<Values> = list(name).map(::of)

    fun ints(name: String): IntArray = intsOf(map[name])

    companion object {
        @Suppress("UNCHECKED_CAST")
        fun of(value: Any?): Values = Values(value as Map<String, Any?>)
    }
}

internal fun intsOf(value: Any?): IntArray = (value as List<*>).map { (it as Number).toInt() }.toIntArray()

/** Reads numbers in float32; null is infinite. */
internal fun floatsOf(value: Any?): FloatArray =
    (value as List<*>).map { (it as Number?)?.toFloat() ?: Float.POSITIVE_INFINITY }.toFloatArray()

internal class VectorCase(val given: Values, val expect: Values)

internal class VectorSet(val name: String) {
    private val content = Values.of(parseJson(File(ROOT, "conformance/vectors/$name.json").readText()))
    val tolerance: Map<String, Values> =
        content.values("tolerance").map.mapValues { (_, far) -> Values.of(far) }
    val cases: List<VectorCase> = content.all("cases").map { VectorCase(it.values("given"), it.values("expect")) }
}

/** Names of all sets, in the order of the kit's README. */
internal fun setNames(): List<String> {
    val told = Regex("""`([a-z0-9-]+)`""").findAll(File(ROOT, "conformance/README.md").readText())
        .map { it.groupValues[1].let { name -> if (name.startsWith("-")) "pictures$name" else name } }.toList()
    val present = File(ROOT, "conformance/vectors").list().orEmpty().map { it.removeSuffix(".json") }.toSet()
    return (told.filter { it in present } + present.sorted()).distinct()
}

/** Returns where an answer is not the one that is expected. */
internal fun differences(
    expected: Any?, found: Any?, tolerance: Map<String, Values>, place: String = "",
): List<String> {
    val list = listOrNull(found)
    if (expected is List<*> && list != null && expected.size == list.size) {
        return expected.indices.flatMap { differences(expected[it], list[it], tolerance, "$place[$it]") }
    }
    if (expected is Map<*, *> && found is Map<*, *> && expected.keys == found.keys) {
        return expected.keys.flatMap { name ->
            differences(expected[name], found[name], tolerance, if (place.isEmpty()) "$name" else "$place.$name")
        }
    }
    val field = place.substringAfterLast('.').substringBefore('[')
    if (same(expected, found, tolerance[field])) return listOf()
    return listOf("$place is ${short(found)}, not ${short(expected)}")
}

private fun listOrNull(value: Any?): List<Any?>? = when (value) {
    is List<*> -> value
    is IntArray -> value.asList()
    is FloatArray -> value.asList()
    is DoubleArray -> value.asList()
    is ByteArray -> value.map { it.toInt() and 255 }
    else -> null
}

private fun same(expected: Any?, found: Any?, far: Values?): Boolean {
    if (expected == null) return found == null || found == Float.POSITIVE_INFINITY
    if (expected !is Number || found !is Number) return expected == found
    val (e, f) = expected.toDouble() to found.toDouble()
    if (far != null) return abs(f - e) <= far.double("absolute") + far.double("relative") * abs(e)
    return e == f || (expected is Double && expected.toFloat() == found.toFloat()) // short decimals of float32
}

private fun short(value: Any?): String = (listOrNull(value) ?: value).toString().take(80)
