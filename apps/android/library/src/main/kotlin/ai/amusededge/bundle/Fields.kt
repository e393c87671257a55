package ai.amusededge.bundle

import ai.amusededge.AmusedEdgeException
import ai.amusededge.BundleException
import ai.amusededge.quoted
import java.math.BigInteger

internal const val DAMAGED = "the bundle is damaged, make it again"
private val INTS = BigInteger.valueOf(Int.MIN_VALUE.toLong())..BigInteger.valueOf(Int.MAX_VALUE.toLong())
private val LONGS = BigInteger.valueOf(Long.MIN_VALUE)..BigInteger.valueOf(Long.MAX_VALUE)

/**
 * Reads typed fields out of a JSON object; every mistake is an error that names the place.
 *
 * @param where for example `manifest.json: graphs.denoiser`
 * @param advice what every error ends with
 * @param refusal makes the error of a message
 */
internal class Fields(
    value: Any?,
    private val where: String,
    private val advice: String = DAMAGED,
    private val refusal: (String) -> AmusedEdgeException = { BundleException(it) },
) {
    @Suppress("UNCHECKED_CAST")
    private val value: Map<String, Any?> =
        value as? Map<String, Any?> ?: throw refusal("$where is not a JSON object; $advice")

    val names: Set<String> get() = value.keys

    /** Returns a field that must be there, of whatever type. */
    fun raw(name: String): Any? {
        if (name !in value) throw refusal("$where lacks ${quoted(name)}; $advice")
        return value[name]
    }

    fun text(name: String): String = raw(name) as? String ?: wrong(name, "text")

    fun flag(name: String): Boolean = raw(name) as? Boolean ?: wrong(name, "truth value")

    fun whole(name: String): BigInteger = raw(name) as? BigInteger ?: wrong(name, "whole number")

    fun int(name: String): Int = whole(name).takeIf { it in INTS }?.toInt() ?: wrong(name, "whole number of 32 bits")

    fun long(name: String): Long = whole(name).takeIf { it in LONGS }?.toLong() ?: wrong(name, "whole number")

    /** A whole number counts as one, if it is not too large for one. */
    fun float(name: String): Double = asFloat(raw(name)) ?: wrong(name, "float")

    fun list(name: String): List<Any?> = raw(name) as? List<*> ?: wrong(name, "list")

    fun child(name: String): Fields = inner(raw(name) as? Map<*, *> ?: wrong(name, "object"), ": $name")

    /** Returns a field that is itself an object; null where it is null. */
    fun optional(name: String): Fields? = if (raw(name) == null) null else child(name)

    fun texts(name: String): List<String> = list(name).map { it as? String ?: wrong(name, "list of texts") }

    fun ints(name: String): IntArray {
        val values = list(name)
        return IntArray(values.size) { i -> inner(mapOf(name to values[i]), "").int(name) }
    }

    fun floats(name: String): DoubleArray {
        val values = list(name)
        return DoubleArray(values.size) { i -> inner(mapOf(name to values[i]), "").float(name) }
    }

    /** Builds one value from each object of a list. */
    fun <T> items(name: String, build: (Fields) -> T): List<T> =
        list(name).mapIndexed { i, value -> build(inner(value, ": $name[$i]")) }

    /** Builds one value from each object of an object. */
    fun <T> table(name: String, build: (Fields) -> T): Map<String, T> {
        val members = raw(name) as? Map<*, *> ?: wrong(name, "object")
        return members.entries.associate { (key, value) -> key as String to build(inner(value, ": $name.$key")) }
    }

    private fun inner(value: Any?, place: String) = Fields(value, where + place, advice, refusal)

    private fun wrong(name: String, kind: String): Nothing =
        throw refusal("$where: ${quoted(name)} is ${quoted(raw(name))}, not a $kind; $advice")
}

internal fun asFloat(value: Any?): Double? = when (value) {
    is Double -> value
    is BigInteger -> value.toDouble().takeIf { it.isFinite() }
    else -> null
}
