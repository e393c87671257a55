package ai.amusededge

import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.parseJson
import ai.amusededge.drawing.AddedToken
import ai.amusededge.drawing.Part
import ai.amusededge.drawing.PromptTokenizer
import ai.amusededge.drawing.inpaintingStart
import ai.amusededge.drawing.isWhite
import ai.amusededge.drawing.isWord
import ai.amusededge.drawing.kindOf
import ai.amusededge.drawing.normalize
import ai.amusededge.drawing.splitAtTokens
import ai.amusededge.drawing.variationStart
import ai.amusededge.sampling.*
import ai.amusededge.support.DEMO
import ai.amusededge.support.Tests
import ai.amusededge.support.check
import ai.amusededge.support.equal
import ai.amusededge.support.fails
import ai.amusededge.support.mutable
import ai.amusededge.support.put
import java.io.File
import java.math.BigInteger

private const val LITERALS = "<\\|startoftext\\|>|<\\|endoftext\\|>|"
private val PATTERN = listOf("pre_tokenizer", "pretokenizers", BigInteger.ZERO, "pattern", "Regex")

/** The demo's tokenizer with other values at some places, for so many ids. */
private fun tokenizer(vararg edits: Pair<List<Any?>, Any?>, length: Int = 77): PromptTokenizer {
    val tree = mutable(parseJson(File(DEMO, "tokenizer.json").readText()))
    val ids = length.toBigInteger()
    put(tree, listOf("padding", "strategy", "Fixed"), ids)
    put(tree, listOf("truncation", "max_length"), ids)
    for ((path, value) in edits) put(tree, path, value)
    return PromptTokenizer(dumpJson(tree), length)
}

private fun added(id: Int, content: String, normalized: Boolean) =
    listOf("added_tokens", (id - 1112).toBigInteger()) to mapOf(
        "id" to id.toBigInteger(), "content" to content, "single_word" to false, "lstrip" to false, "rstrip" to false,
        "normalized" to normalized,
    )

internal fun drawingTests(runner: Tests) {
    runner.test("white space, letters of words and kinds of characters are Unicode's") {
        for (code in listOf(9, 10, 11, 12, 13, 32, 0x85, 0xa0, 0x2028, 0x3000)) check(isWhite(code)) { "$code" }
        for (code in listOf(0, 8, 14, 0x200b, 0x10000, 0x10020, 0x1f98a)) check(!isWhite(code)) { "$code" }
        for (text in listOf("a", "é", "日", "5", "_", "\u0301", "\u302e", "\u20dd", "\u200c", "\u200d", "𝔘")) {
            check(isWord(text.codePointAt(0))) { text }
        }
        for (text in listOf(" ", "-", "²", "\u200b", "\u200e", "\u00a0", "€", "\ud83e\udd8a", "\ue000")) {
            check(!isWord(text.codePointAt(0))) { text }
        }
        equal("a5² !".map { kindOf(it.code).name }, listOf("LETTER", "NUMBER", "NUMBER", "WHITE", "OTHER"))
        equal(normalize(" \t A\u00a0\u00a0e\u0301ΣΑΣ "), " a éσασ ")
        equal(normalize("A"), "a")
    }
    runner.test("a text is split at its tokens, with the white space that is theirs") {
        fun token(
            id: Int, left: Boolean = false, right: Boolean = false, word: Boolean = false, content: String = "<x>",
        ) = AddedToken(id, content, word, left, right, false)
        fun split(text: String, vararg tokens: AddedToken) =
            splitAtTokens(text, tokens.asList()).map { if (it is Part.Text) it.text else (it as Part.Id).id }
        equal(split("", token(1)), listOf())
        equal(split("<x>", token(1)), listOf<Any>(1))
        equal(split("a <x> b", token(1)), listOf("a ", 1, " b"))
        equal(split("a <x> b", token(1, left = true)), listOf("a", 1, " b"))
        equal(split("a <x> b", token(1, right = true)), listOf("a ", 1, "b"))
        equal(split("a \t<x>\n b", token(1, true, true)), listOf("a", 1, "b"))
        equal(split("  <x>  ", token(1, true, true)), listOf<Any>(1))
        equal(split("a<x>b<x>", token(1, true, true)), listOf("a", 1, "b", 1))
        equal(split("<x> <x>", token(1, true, true)), listOf<Any>(1, 1))
        equal(split("<x> <x>", token(1, left = true)), listOf<Any>(1, 1))
        equal(split("a<x>b <x>. \u0301<x> \ud835\udd18<x> <x>", token(1, word = true)), listOf("a<x>b ", 1,
            ". \u0301<x> \ud835\udd18<x> ", 1))
        equal(split("xyz", token(1, content = "x"), token(2, content = "xy")), listOf(2, "z"))
    }
    runner.test("added tokens are looked for in the text as it was given, or normalized") {
        val plain = tokenizer()
        val given = tokenizer(added(1114, "FOX", false), added(1115, "", false), added(1116, "", true))
        equal(given.encode("FOX").ids[1], 1114)
        equal(given.encode("a fox").ids.toList(), plain.encode("a fox").ids.toList())
        val normal = tokenizer(added(1114, "e", true))
        equal(normal.encode("E").ids[1], 1114)
        equal(normal.encode("e\u0301").ids.toList(), plain.encode("é").ids.toList())
        fails<OptionsException>("half of a surrogate pair") { plain.encode("\ud83e") }
    }
    runner.test("what is cut off a prompt is told") {
        val short = tokenizer(length = 4)
        equal(short.encode("a b").cut, null)
        val cut = short.encode("a b C  <|endoftext|> d")
        equal(cut.cut, "c 1113 d")
        equal(cut.ids.toList(), short.encode("a b").ids.toList())
    }
    runner.test("files of older and newer tokenizers are read, and no others") {
        val words = File(DEMO, "tokenizer.json").readText().let(::parseJson)
            .let { PATTERN.fold(it) { place, name -> if (place is List<*>) place[0] else (place as Map<*, *>)[name] } }
        val pattern = (words as String).removePrefix(LITERALS)
        check(pattern != words) { "the demo's is of the older kind" }
        val others = arrayOf<Pair<List<Any?>, Any?>>(added(1112, "§", false), added(1113, "¶", false))
        val (newer, older) = listOf(tokenizer(*others), tokenizer(*others, PATTERN to pattern))
        fun PromptTokenizer.has(text: String, same: String) =
            equal(encode(text).ids.toList(), encode(same).ids.toList())
        newer.has("<|ENDOFTEXT|>!!", "<| endoftext |> !!") // a word by itself, and split again
        older.has("<|ENDOFTEXT|>!!", "<| endoftext |>!!")
        fails<BundleException>("no CLIP tokenizer") { tokenizer(PATTERN to "$pattern|x") }
        fails<BundleException>("no CLIP tokenizer") {
            tokenizer(listOf("model", "continuing_subword_prefix") to "##")
        }
        val id = listOf("post_processor", "sep", BigInteger.ONE)
        equal(tokenizer(id to Int.MAX_VALUE.toBigInteger()).encode("").ids[1], Int.MAX_VALUE)
        fails<BundleException>("sep has no id") { tokenizer(id to BigInteger.TWO.pow(31)) }
    }
    runner.test("a token is masked where its number is below the ratio, not at it") {
        val settings = SamplerSettings(steps = 17, schedule = Schedule.LINEAR)
        val (at, ratio) = 2695 to maskRatio(settings.schedule, 11, settings.steps)
        equal(uniforms(at + 1, PhiloxStream(9, 0, 0, Purpose.START_MASK))[at], ratio)
        val start = variationStart(IntArray(at + 1), 0.3, settings, 99, 9, 0)
        equal(start.firstStep, 12)
        equal(start.tokens[at], 0)
    }
    runner.test("a strength that leaves no step says which one does") {
        val settings = SamplerSettings(steps = 12)
        val mask = BooleanArray(4) { it == 0 }
        for ((steps, least) in listOf(12 to "0.08334", 8 to "0.125")) {
            val said = runCatching {
                inpaintingStart({ error("it is not asked") }, mask, 0.08, SamplerSettings(steps), 9)
            }.exceptionOrNull()?.message.orEmpty()
            check(said.endsWith("give at least $least")) { said }
        }
        equal(inpaintingStart({ IntArray(4) }, mask, 0.08334, settings, 9).firstStep, 11)
        equal(inpaintingStart({ IntArray(4) }, BooleanArray(4), 0.0, settings, 9).firstStep, 12)
        equal(variationStart(IntArray(4), 0.0, settings, 9, 0, 0).tokens.toList(), List(4) { 0 })
    }
}
