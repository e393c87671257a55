package ai.amusededge.bundle

import java.math.BigDecimal
import java.math.BigInteger
import java.math.MathContext
import java.math.RoundingMode
import kotlin.math.abs

/**
 * JSON that tells whole numbers from others, as Python does: 64-bit seeds stay exact, and the hash of a text that
 * Python wrote can be taken again. Android's `org.json` does neither, and a plain JVM has no JSON at all.
 *
 * A value is null, a Boolean, a String, a BigInteger (whole numbers), a Double (others), a List or a Map.
 */
internal class JsonException(message: String) : Exception(message)

/** Parses a text. With [constants], NaN and Infinity, which are no JSON, are taken as numbers. */
internal fun parseJson(text: String, constants: Boolean = false): Any? = JsonParser(text, constants).whole()

private const val DEEPEST = 900
private const val MOST_DIGITS = 4300
private val NUMBER = Regex("""(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?""")
private val WORDS = listOf("null" to null, "true" to true, "false" to false)
private val CONSTANTS =
    listOf("NaN" to Double.NaN, "Infinity" to Double.POSITIVE_INFINITY, "-Infinity" to Double.NEGATIVE_INFINITY)
private const val ESCAPES = "\"\\/bfnrt"
private const val ESCAPED = "\"\\/\b\u000c\n\r\t"

private class JsonParser(private val text: String, constants: Boolean) {
    private val words: List<Pair<String, Any?>> = if (constants) WORDS + CONSTANTS else WORDS
    private var at = 0

    fun whole(): Any? {
        val value = value(0)
        space()
        if (at < text.length) fail("there is more behind its end")
        return value
    }

    private fun value(depth: Int): Any? {
        if (depth > DEEPEST) fail("its lists and objects are nested too deeply")
        space()
        return when (text.getOrNull(at)) {
            '{' -> buildMap<String, Any?> { members('}') { put(name(), value(depth + 1)) } }
            '[' -> buildList<Any?> { members(']') { add(value(depth + 1)) } }
            '"' -> string()
            else -> word()
        }
    }

    private inline fun members(end: Char, member: () -> Unit) {
        at++
        if (next(end)) return
        do member() while (next(','))
        if (!next(end)) fail("\",\" or \"$end\" is missing")
    }

    private fun name(): String {
        space()
        if (text.getOrNull(at) != '"') fail("a name is missing")
        val name = string()
        if (!next(':')) fail("\":\" is missing")
        return name
    }

    private fun string(): String {
        val made = StringBuilder()
        var from = ++at
        while (true) {
            val letter = text.getOrNull(at)
            if (letter == null || letter < ' ') fail("a text does not end, or holds a control character")
            if (letter != '"' && letter != '\\') {
                at++
                continue
            }
            made.append(text, from, at++)
            if (letter == '"') return made.toString()
            made.append(escape())
            from = at
        }
    }

    private fun escape(): Char {
        val letter = text.getOrNull(at++)
        if (letter == 'u') {
            val hex = text.substring(at.coerceAtMost(text.length), (at + 4).coerceAtMost(text.length))
            if (hex.length == 4 && hex.all { it in '0'..'9' || it in 'a'..'f' || it in 'A'..'F' }) {
                at += 4
                return hex.toInt(16).toChar()
            }
        }
        val place = if (letter == null) -1 else ESCAPES.indexOf(letter)
        if (place < 0) fail("an escape is not known")
        return ESCAPED[place]
    }

    private fun word(): Any? {
        for ((word, value) in words) {
            if (text.startsWith(word, at)) {
                at += word.length
                return value
            }
        }
        val found = NUMBER.find(text, at)?.takeIf { it.range.first == at } ?: fail("a value is missing")
        at = found.range.last + 1
        val (whole, fraction, exponent) = found.destructured
        if (fraction.isNotEmpty() || exponent.isNotEmpty()) return found.value.toDouble()
        return if (whole.length > MOST_DIGITS) fail("a number has too many digits") else BigInteger(whole)
    }

    private fun next(letter: Char): Boolean {
        space()
        val there = text.getOrNull(at) == letter
        if (there) at++
        return there
    }

    private fun space() {
        while (at < text.length && text[at] in " \t\n\r") at++
    }

    private fun fail(why: String): Nothing = throw JsonException("$why, at character $at")
}

/**
 * Returns a value as Python's `json.dumps` writes it. With [sorted], names are in order and all that is not ASCII is
 * escaped: the form that hashes are taken of.
 */
internal fun dumpJson(value: Any?, sorted: Boolean = false): String = buildString { dump(value, sorted) }

private fun StringBuilder.dump(value: Any?, sorted: Boolean) {
    when (value) {
        is String -> dumpText(value, sorted)
        is Double -> append(pythonFloat(value))
        is Float -> append(pythonFloat(value.toDouble()))
        is List<*> -> {
            append('[')
            value.forEachIndexed { i, item ->
                if (i > 0) append(", ")
                dump(item, sorted)
            }
            append(']')
        }
        is Map<*, *> -> {
            append('{')
            val names = if (sorted) value.keys.sortedBy { it as String } else value.keys
            names.forEachIndexed { i, name ->
                if (i > 0) append(", ")
                dumpText(name as String, sorted)
                append(": ")
                dump(value[name], sorted)
            }
            append('}')
        }
        else -> append(value.toString())
    }
}

private fun StringBuilder.dumpText(text: String, ascii: Boolean) {
    append('"')
    for (letter in text) {
        val escape = if (letter == '/') -1 else ESCAPED.indexOf(letter)
        when {
            escape >= 0 -> append('\\').append(ESCAPES[escape])
            letter < ' ' || (ascii && letter >= '\u007f') -> append("\\u%04x".format(letter.code))
            else -> append(letter)
        }
    }
    append('"')
}

/** Returns a float as Python's `repr`: the fewest digits that are read as it, in Python's form. */
internal fun pythonFloat(value: Double): String {
    if (value.isNaN()) return "NaN"
    if (value.isInfinite()) return if (value > 0) "Infinity" else "-Infinity"
    if (value == 0.0) return if (1 / value < 0) "-0.0" else "0.0"
    val shortest = shortestOf(abs(value))
    val digits = shortest.unscaledValue().toString().trimEnd('0')
    val exponent = shortest.precision() - shortest.scale() - 1
    val sign = if (value < 0) "-" else ""
    if (exponent < -4 || exponent >= 16) {
        val tail = if (digits.length > 1) "." + digits.drop(1) else ""
        return "$sign${digits[0]}${tail}e${if (exponent < 0) "-" else "+"}${abs(exponent).toString().padStart(2, '0')}"
    }
    if (exponent < 0) return sign + "0." + "0".repeat(-exponent - 1) + digits
    val whole = digits.padEnd(exponent + 1, '0')
    return sign + whole.take(exponent + 1) + "." + whole.drop(exponent + 1).ifEmpty { "0" }
}

/** Returns the decimal of the fewest digits that is read as a value; old JVMs write more than are needed. */
private fun shortestOf(value: Double): BigDecimal {
    val exact = BigDecimal(value)
    fun rounded(digits: Int) =
        exact.round(MathContext(digits, RoundingMode.HALF_EVEN)).takeIf { it.toDouble() == value }
    var shortest = BigDecimal(value.toString()).let { rounded(it.stripTrailingZeros().precision()) ?: it }
    while (shortest.precision() > 1) shortest = rounded(shortest.precision() - 1) ?: break
    return shortest
}
