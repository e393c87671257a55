package ai.amusededge.drawing

import ai.amusededge.bundle.Fields

/**
 * A special or added token, which is found in a text before it is split into words.
 *
 * @property singleWord found only where no letter stands beside it
 * @property leftStrip takes the white space on its left with it; [rightStrip] that on its right
 * @property normalized looked for in the normalized text, else in the text as it was given
 */
internal data class AddedToken(
    val id: Int,
    val content: String,
    val singleWord: Boolean,
    val leftStrip: Boolean,
    val rightStrip: Boolean,
    val normalized: Boolean,
)

internal fun readAddedToken(fields: Fields) = AddedToken(
    fields.int("id"), fields.text("content"), fields.flag("single_word"), fields.flag("lstrip"), fields.flag("rstrip"),
    fields.flag("normalized"),
)

/** A part of a text. */
internal sealed interface Part {
    class Id(val id: Int) : Part

    class Text(val text: String) : Part
}

/** Splits a text at the tokens in it: the leftmost first, of several at one place the longest. */
internal fun splitAtTokens(text: String, tokens: List<AddedToken>): List<Part> {
    val parts = ArrayList<Part>()
    var begin = 0
    var at = 0
    while (at < text.length) {
        val token = tokens.filter { text.startsWith(it.content, at) }.maxByOrNull { it.content.length }
        if (token == null) {
            at++
            continue
        }
        val end = at + token.content.length
        if (token.singleWord && isBesideWord(text, at, end)) {
            at = end
            continue
        }
        var from = at
        while (token.leftStrip && from > begin && isWhite(text[from - 1].code)) from--
        if (begin < from) parts.add(Part.Text(text.substring(begin, from)))
        parts.add(Part.Id(token.id))
        begin = end
        while (token.rightStrip && begin < text.length && isWhite(text[begin].code)) begin++
        at = end
    }
    if (begin < text.length) parts.add(Part.Text(text.substring(begin)))
    return parts
}

private fun isBesideWord(text: String, at: Int, end: Int): Boolean =
    (at > 0 && isWord(text.codePointBefore(at))) || (end < text.length && isWord(text.codePointAt(end)))
