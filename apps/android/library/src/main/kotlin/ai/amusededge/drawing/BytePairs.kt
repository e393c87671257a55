package ai.amusededge.drawing

import java.util.concurrent.ConcurrentHashMap

/** Words of this length or less are remembered. */
private const val SHORT = 64
private const val MOST_REMEMBERED = 10_000

/** A letter that can be shown for each byte, as in GPT-2. */
private val ALPHABET: List<String> = run {
    var next = 256
    List(256) { byte ->
        val shown = byte in 33..126 || byte in 161..172 || byte >= 174
        (if (shown) byte else next++).toChar().toString()
    }
}

/**
 * Byte-pair encoding of one word (Sennrich et al., 2016). For several threads.
 *
 * @param ids of the vocabulary's symbols
 * @param merges pairs of symbols, the first to be merged first
 * @param unknown the id of what the vocabulary does not have
 * @param suffix of a word's last symbol
 */
internal class BytePairs(
    private val ids: Map<String, Int>,
    merges: List<Pair<String, String>>,
    private val unknown: Int,
    private val suffix: String,
) {
    private val ranks = HashMap<Pair<String, String>, Int>(2 * merges.size).apply {
        merges.forEachIndexed { rank, pair -> put(pair, rank) }
    }
    private val remembered = ConcurrentHashMap<String, IntArray>()

    /** Returns the ids of a word. */
    fun ids(word: String): IntArray = remembered[word] ?: merged(word).let { symbols ->
        val found = IntArray(symbols.size) { ids[symbols[it]] ?: unknown }
        if (word.length <= SHORT && remembered.size < MOST_REMEMBERED) remembered[word] = found
        found
    }

    private fun merged(word: String): List<String> {
        val bytes = word.toByteArray(Charsets.UTF_8)
        var symbols = bytes.mapIndexed { i, byte ->
            ALPHABET[byte.toInt() and 255] + if (i == bytes.lastIndex) suffix else ""
        }
        while (true) {
            val (left, right) = symbols.zipWithNext().filter { it in ranks }.minByOrNull { ranks.getValue(it) } ?: break
            val next = ArrayList<String>(symbols.size)
            var i = 0
            while (i < symbols.size) {
                val found = symbols[i] == left && symbols.getOrNull(i + 1) == right
                next.add(if (found) left + right else symbols[i])
                i += if (found) 2 else 1
            }
            symbols = next
        }
        return symbols
    }
}
