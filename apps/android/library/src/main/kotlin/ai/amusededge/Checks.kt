package ai.amusededge

/** Far above any useful guidance scale or temperature, far below what float32 arithmetic would turn into infinity. */
private const val REAL_LIMIT = 1e6

/** Characters of a prompt: files of pictures hold it, and their readers refuse more than 64 MB of text. */
private const val LONGEST = 10_000_000

internal fun wholeNumber(name: String, value: Int, minimum: Int, maximum: Int = Int.MAX_VALUE) {
    if (value < minimum) throw OptionsException("$name is $value; it must be $minimum or more")
    if (value > maximum) throw OptionsException("$name is $value; it must be $maximum or less")
}

/** Returns a number from 0 to 1e6. */
internal fun realNumber(name: String, value: Double): Double {
    if (value.isNaN()) throw OptionsException("$name is NaN; it must be a number")
    if (value !in 0.0..REAL_LIMIT) throw OptionsException("$name is $value; it must be between 0 and 1000000")
    return value
}

/** Throws if a value is no share of the steps, 0 to 1. */
internal fun checkStrength(value: Double) {
    if (realNumber("strength", value) > 1) throw OptionsException("strength is $value; it must be between 0 and 1")
}

/** Throws if a prompt cannot be written as UTF-8, or is longer than a picture's file could hold. */
internal fun checkText(prompt: String) {
    if (prompt.length > LONGEST) {
        throw OptionsException("a prompt has ${prompt.length} characters; the text encoder reads some dozens of words")
    }
    if (!isUnicode(prompt)) {
        throw OptionsException("prompt ${quoted(prompt)} is not valid Unicode: it holds half of a surrogate pair")
    }
}

internal fun isUnicode(text: String): Boolean {
    var at = 0
    while (at < text.length) {
        val letter = text[at++]
        if (!letter.isSurrogate()) continue
        if (!letter.isHighSurrogate() || at == text.length || !text[at++].isLowSurrogate()) return false
    }
    return true
}
