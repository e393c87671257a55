package ai.amusededge.drawing

import java.text.Normalizer
import java.util.Locale

/** Unicode's White_Space, all of it. */
private const val SPACES =
    "\t\n\u000b\u000c\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" +
        "\u2028\u2029\u202f\u205f\u3000"

/** Classes of characters as the tokenizers library knows them; JVMs and Androids differ in that. */
internal enum class CharacterKind { WHITE, LETTER, NUMBER, OTHER }

private val letters = boundaries(LETTERS)
private val numbers = boundaries(NUMBERS)

internal fun kindOf(code: Int): CharacterKind = when {
    isWhite(code) -> CharacterKind.WHITE
    isIn(letters, code) -> CharacterKind.LETTER
    isIn(numbers, code) -> CharacterKind.NUMBER
    else -> CharacterKind.OTHER
}

internal fun isWhite(code: Int): Boolean = code < 0x10000 && SPACES.indexOf(code.toChar()) >= 0

/** Composes characters, makes white space one space, and lower case one by one: a final sigma is like any other. */
internal fun normalize(text: String): String {
    val composed = Normalizer.normalize(text, Normalizer.Form.NFC)
    val made = StringBuilder(composed.length)
    var space = false
    var at = 0
    while (at < composed.length) {
        val code = composed.codePointAt(at)
        val width = Character.charCount(code)
        if (isWhite(code)) {
            if (!space) made.append(' ')
        } else {
            made.append(composed.substring(at, at + width).lowercase(Locale.ROOT))
        }
        space = isWhite(code)
        at += width
    }
    return made.toString()
}

/** Whether a character belongs to a word, as regular expressions' `\w` has it. */
internal fun isWord(code: Int): Boolean = Character.isAlphabetic(code) || code == 0x200c || code == 0x200d ||
    Character.getType(code).toByte() in WORD_TYPES

private val WORD_TYPES = setOf(
    Character.NON_SPACING_MARK, Character.ENCLOSING_MARK, Character.COMBINING_SPACING_MARK,
    Character.DECIMAL_DIGIT_NUMBER, Character.CONNECTOR_PUNCTUATION,
)

/** Returns where runs begin and end, in turn. */
private fun boundaries(runs: String): IntArray {
    var at = 0
    return runs.split(" ").map { length ->
        at += length.toInt(36)
        at
    }.toIntArray()
}

/** Whether a code point lies in a run: behind an odd number of boundaries. */
private fun isIn(boundary: IntArray, code: Int): Boolean {
    val place = boundary.binarySearch(code)
    return (if (place >= 0) place + 1 else -place - 1) % 2 == 1
}
