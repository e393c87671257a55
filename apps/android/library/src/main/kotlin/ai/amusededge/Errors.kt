package ai.amusededge

/**
 * Every error that amused-edge raises on purpose: one line that says what was wrong, with the value, and what to do.
 */
public sealed class AmusedEdgeException(message: String, cause: Throwable? = null) :
    RuntimeException(oneLine(message), cause)

/** An option, prompt or task is out of range. */
public class OptionsException(message: String) : AmusedEdgeException(message)

/** A bundle cannot be opened, is incomplete or damaged. */
public class BundleException(message: String, cause: Throwable? = null) : AmusedEdgeException(message, cause)

/** An engine cannot load or run a graph, or would compute this bundle wrongly; or the pipeline was closed. */
public class GraphException(message: String, cause: Throwable? = null) : AmusedEdgeException(message, cause)

/** A picture could not be drawn, for example because a graph returned values that are not numbers. */
public class GenerationException(message: String) : AmusedEdgeException(message)

/** What was asked for was stopped by its [Cancellation]. */
public class CancelledException(message: String) : AmusedEdgeException(message)

/** A saved state is damaged, or belongs to another bundle, task or version. */
public class StateException(message: String) : AmusedEdgeException(message)

/** Longest message and longest value in one, in characters. */
private const val MESSAGE = 400
private const val VALUE = 100

/** Marks of direction and width, which a screen does not show but obeys. */
private val HIDDEN = setOf(0x200b..0x200f, 0x202a..0x202e, 0x2066..0x2069, 0xfeff..0xfeff)

/** Returns a text as one line without control characters; of one longer than the limit, its beginning and end. */
internal fun oneLine(text: String, limit: Int = MESSAGE): String {
    val joined = cut(text, 2 * limit).split('\n', '\r', '\u000b', '\u000c', '\u0085', '\u2028', '\u2029')
        .map { it.trim() }.filter { it.isNotEmpty() }.joinToString(" ")
    val shown = buildString {
        for (letter in joined) {
            val hidden = letter.isISOControl() || HIDDEN.any { letter.code in it }
            if (hidden) append("\\u%04x".format(letter.code)) else append(letter)
        }
    }
    return cut(shown, limit)
}

/** Returns a value for a message, as one short line; texts in quotes. */
internal fun quoted(value: Any?): String = when (value) {
    is String -> oneLine(quotedText(value), VALUE)
    is IntArray -> oneLine(value.joinToString(", ", "[", "]", limit = VALUE), VALUE)
    is Iterable<*> -> oneLine(value.joinToString(", ", "[", "]", limit = VALUE) { quoted(it) }, VALUE)
    is Map<*, *> -> "an object of ${value.size} names"
    else -> oneLine(value.toString(), VALUE)
}

private fun quotedText(text: String): String = buildString {
    append('"')
    for (letter in cut(text, 2 * VALUE)) {
        when (letter) {
            '"', '\\' -> append('\\').append(letter)
            '\n' -> append("\\n")
            '\r' -> append("\\r")
            '\t' -> append("\\t")
            else -> append(letter)
        }
    }
    append('"')
}

/** Returns the first line of what another library threw, or its kind where it says nothing. */
internal fun firstLine(error: Throwable): String =
    error.message?.trim()?.lineSequence()?.firstOrNull()?.takeIf { it.isNotEmpty() } ?: error.javaClass.simpleName

private fun cut(text: String, limit: Int): String {
    val half = (limit - 3) / 2
    return if (text.length <= limit) text else text.take(half) + "..." + text.takeLast(half)
}
