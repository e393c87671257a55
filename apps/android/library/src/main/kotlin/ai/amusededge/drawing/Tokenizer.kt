package ai.amusededge.drawing

import ai.amusededge.BundleException
import ai.amusededge.bundle.Fields
import ai.amusededge.bundle.JsonException
import ai.amusededge.bundle.parseJson
import ai.amusededge.checkText
import ai.amusededge.quoted
import java.math.BigInteger

private val CONTRACTIONS = listOf("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")

/** What CLIP takes for a word, as files write it; in those of newer versions two tokens stand before it. */
private const val TOKENS = "<\\|startoftext\\|>|<\\|endoftext\\|>|"
private val LITERALS = listOf("<|startoftext|>", "<|endoftext|>")
private const val WORDS = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"

private val PADDING = mapOf("direction" to "Right", "pad_to_multiple_of" to null)
private val TRUNCATION = mapOf("direction" to "Right", "strategy" to "LongestFirst", "stride" to BigInteger.ZERO)
private val NORMALIZER = mapOf(
    "type" to "Sequence",
    "normalizers" to listOf(
        mapOf("type" to "NFC"),
        mapOf("type" to "Replace", "pattern" to mapOf("Regex" to "\\s+"), "content" to " "),
        mapOf("type" to "Lowercase"),
    ),
)
private val MODEL = mapOf(
    "type" to "BPE",
    "dropout" to null,
    "continuing_subword_prefix" to "",
    "end_of_word_suffix" to "</w>",
    "fuse_unk" to false,
    "byte_fallback" to false,
    "ignore_merges" to false,
)

private fun preTokenizer(pattern: String): Map<String, Any> = mapOf(
    "type" to "Sequence",
    "pretokenizers" to listOf(
        mapOf(
            "type" to "Split",
            "pattern" to mapOf("Regex" to pattern),
            "behavior" to "Removed",
            "invert" to true,
        ),
        mapOf("type" to "ByteLevel", "add_prefix_space" to false, "trim_offsets" to true, "use_regex" to true),
    ),
)

private const val AGAIN = "export the bundle again"

/**
 * Ids of a prompt.
 *
 * @property ids start token, text cut to fit, end token, padding
 * @property cut what was cut off; null: nothing
 */
internal class Encoded(val ids: IntArray, val cut: String?)

/**
 * Text to token ids: the checkpoint's CLIP byte-pair encoding, read from the bundle's `tokenizer.json`, which carries
 * its padding and truncation with it. For several threads.
 *
 * @param length ids per prompt that the text encoder takes (77 for CLIP)
 * @throws BundleException the file is no CLIP tokenizer, or does not pad and truncate to [length]
 */
internal class PromptTokenizer(text: String, private val length: Int) {
    private val pad: Int
    private val start: Int
    private val end: Int
    private val words: BytePairs
    private val given: List<AddedToken>
    private val normalized: List<AddedToken>
    private val literals: List<String>

    init {
        val fields = Fields(parsed(text), "tokenizer.json", AGAIN)
        checkLength(fields, length)
        literals = checkPipeline(fields)
        pad = fields.child("padding").int("pad_id")
        val ends = fields.child("post_processor")
        start = endOf(ends, "cls")
        end = endOf(ends, "sep")
        val model = fields.child("model")
        val vocabulary = model.child("vocab")
        val ids = vocabulary.names.associateWith { vocabulary.int(it) }
        val unknown = ids[model.text("unk_token")]
            ?: throw BundleException("tokenizer.json: its unk_token is no token; $AGAIN")
        words = BytePairs(ids, readMerges(model), unknown, model.text("end_of_word_suffix"))
        val added = fields.items("added_tokens", ::readAddedToken).filter { it.content.isNotEmpty() }
        given = added.filter { !it.normalized }
        normalized = added.filter { it.normalized }.map { it.copy(content = normalize(it.content)) }
    }

    /** Returns the ids of a prompt; throws `OptionsException` if it is not Unicode. */
    fun encode(prompt: String): Encoded {
        checkText(prompt)
        val parts = splitAtTokens(prompt, given)
            .flatMap { if (it is Part.Text) splitAtTokens(normalize(it.text), normalized) else listOf(it) }
            .flatMap { if (it is Part.Text) wordsOf(it.text).map { word -> Part.Text(word) } else listOf(it) }
        val ids = IntArray(length) { pad }
        ids[0] = start
        var count = 1
        var cut: String? = null
        for ((i, part) in parts.withIndex()) {
            val found = if (part is Part.Text) words.ids(part.text) else intArrayOf((part as Part.Id).id)
            val fitting = minOf(found.size, length - 1 - count)
            found.copyInto(ids, count, 0, fitting)
            count += fitting
            if (fitting < found.size) {
                cut = shown(parts.drop(i))
                break
            }
        }
        ids[count] = end
        return Encoded(ids, cut)
    }

    /** Splits a text into words; a special token that was left in it is one by itself, and split again. */
    private fun wordsOf(text: String): List<String> =
        split(text, literals).flatMap { if (it in literals) split(it, listOf()) else listOf(it) }
}

private fun shown(parts: List<Part>): String =
    parts.joinToString(" ") { if (it is Part.Text) it.text else (it as Part.Id).id.toString() }

/** Splits a text into contractions, runs of letters, single numbers and runs of others; white space is left out. */
private fun split(text: String, literals: List<String>): List<String> {
    val words = ArrayList<String>()
    var at = 0
    while (at < text.length) {
        val code = text.codePointAt(at)
        val kind = kindOf(code)
        val fixed = (literals + CONTRACTIONS).firstOrNull { text.startsWith(it, at) }
        var end = at + (fixed?.length ?: Character.charCount(code))
        if (fixed == null && (kind == CharacterKind.LETTER || kind == CharacterKind.OTHER)) {
            while (end < text.length && kindOf(text.codePointAt(end)) == kind) {
                end += Character.charCount(text.codePointAt(end))
            }
        }
        if (kind != CharacterKind.WHITE) words.add(text.substring(at, end))
        at = end
    }
    return words
}

private fun parsed(text: String): Any? = try {
    parseJson(text)
} catch (error: JsonException) {
    throw BundleException("tokenizer.json is not a tokenizer: it is not JSON (${error.message}); $AGAIN")
}

private fun checkLength(fields: Fields, length: Int) {
    val size = BigInteger.valueOf(length.toLong())
    val padding = PADDING + ("strategy" to mapOf("Fixed" to size))
    val fits = says(fields.raw("padding"), padding, "pad_id", "pad_type_id", "pad_token") &&
        says(fields.raw("truncation"), TRUNCATION + ("max_length" to size))
    if (!fits) {
        throw BundleException("tokenizer.json does not pad and truncate to $length ids; $AGAIN")
    }
}

private fun endOf(processor: Fields, name: String): Int =
    (processor.list(name).getOrNull(1) as? BigInteger)?.takeIf { it.bitLength() < 32 }?.toInt()
        ?: throw BundleException("tokenizer.json: $name has no id; $AGAIN")

/** Refuses a tokenizer that does not do what CLIP's does; returns the special tokens that its pattern names. */
private fun checkPipeline(fields: Fields): List<String> {
    val found = fields.raw("pre_tokenizer")
    val literals = found == preTokenizer(TOKENS + WORDS)
    val decoder = fields.raw("decoder")
    val known = fields.raw("normalizer") == NORMALIZER &&
        (literals || found == preTokenizer(WORDS)) &&
        says(
            fields.raw("post_processor"),
            mapOf("type" to "RobertaProcessing"),
            "sep",
            "cls",
            "trim_offsets",
            "add_prefix_space",
        ) &&
        (
            decoder == null ||
                says(decoder, mapOf("type" to "ByteLevel"), "add_prefix_space", "trim_offsets", "use_regex")
            ) &&
        says(fields.raw("model"), MODEL, "unk_token", "vocab", "merges")
    if (!known) {
        throw BundleException("tokenizer.json is no CLIP tokenizer, which this runtime alone reads; $AGAIN")
    }
    return if (literals) LITERALS else listOf()
}

/** Says whether a part has these values, whatever it says of those that are [free], and nothing else. */
private fun says(part: Any?, expected: Map<String, Any?>, vararg free: String): Boolean =
    part is Map<*, *> && part.filterKeys { it !in free } == expected

/** Returns pairs of symbols; older files write them with a space between. */
private fun readMerges(model: Fields): List<Pair<String, String>> = model.list("merges").map { merge ->
    val symbols = if (merge is String) merge.split(" ") else merge as? List<*>
    val left = symbols?.getOrNull(0) as? String
    val right = symbols?.getOrNull(1) as? String
    if (left == null || right == null || symbols.size != 2) {
        throw BundleException("tokenizer.json: ${quoted(merge)} is no pair of symbols; $AGAIN")
    }
    left to right
}
