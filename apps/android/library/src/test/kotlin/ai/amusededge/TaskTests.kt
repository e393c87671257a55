package ai.amusededge

import ai.amusededge.bundle.MicroConditioning
import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.parseJson
import ai.amusededge.pictures.Coverage
import ai.amusededge.pictures.Fit
import ai.amusededge.pictures.GreyImage
import ai.amusededge.pictures.RgbImage
import ai.amusededge.sampling.SamplerSettings
import ai.amusededge.sampling.Step
import ai.amusededge.support.Tests
import ai.amusededge.support.Values
import ai.amusededge.support.VectorSet
import ai.amusededge.support.check
import ai.amusededge.support.equal
import ai.amusededge.support.fails
import ai.amusededge.support.mutable
import ai.amusededge.support.put
import ai.amusededge.tasks.*
import java.math.BigInteger

private fun photo(shade: Int, width: Int = 3, height: Int = 2) =
    RgbImage(width, height, ByteArray(3 * width * height) { (it + shade).toByte() })

private fun cover(width: Int = 3, height: Int = 2) = GreyImage(width, height, ByteArray(width * height) { -1 })

private val AB = texts(listOf("a", "b"))
private val PHOTOS = listOf(photo(0), photo(1))
private val MASKS = listOf(cover(), GreyImage(3, 2, ByteArray(6)))

private fun parametersOf(task: Task) =
    PictureParameters("a bundle", "ab".repeat(32), recordOf(task), ULong.MAX_VALUE, SamplerSettings(steps = 7))

/** Parameters in which another value stands at a place of the task. */
private fun edited(task: Task, name: String, value: Any?): PictureParameters {
    val tree = mutable(parseJson(parametersOf(task).toJson()))
    put(tree, listOf("task", name), value)
    return PictureParameters.fromJson(dumpJson(tree))
}

internal fun taskTests(runner: Tests) {
    limitTests(runner)
    recordTests(runner)
    stateTests(runner)
}

private fun limitTests(runner: Tests) {
    runner.test("tasks take what is within their limits, to the last") {
        TextToImage(AB, picturesPerPrompt = 100_000)
        TextToImage(AB, firstPicture = ULong.MAX_VALUE)
        TextToImage(AB, picturesPerPrompt = 2, firstPicture = ULong.MAX_VALUE - 1uL)
        for (strength in listOf(0.0, 1.0)) Variation(AB, PHOTOS, strength)
        for (feather in listOf(0, 256)) Inpainting(AB, PHOTOS, MASKS, feather = feather)
        equal(outpainting(AB, photo(0, 1, 1), Margins(left = 16383)).images[0].width, 16384)
        Prompt.Text("x".repeat(10_000_000))
        wholeNumber("count", Int.MAX_VALUE, 0)
    }
    runner.test("tasks refuse what is beyond") {
        for (count in listOf(0, 100_001)) fails<OptionsException>("Prompt is $count") { TextToImage(AB, AB, count) }
        fails<OptionsException>("firstPicture is 18446744073709551615; it must be 18446744073709551614 or less") {
            TextToImage(AB, picturesPerPrompt = 2, firstPicture = ULong.MAX_VALUE)
        }
        for (strength in listOf(-0.5, 1.5, Double.NaN)) {
            fails<OptionsException>("strength is $strength") { Variation(AB, PHOTOS, strength) }
        }
        for (feather in listOf(-1, 257)) {
            fails<OptionsException>("feather is $feather") { Inpainting(AB, PHOTOS, MASKS, feather = feather) }
        }
        for (mask in listOf(cover(2, 2), cover(3, 3))) {
            fails<OptionsException>("pixels, its picture 3x2") { Inpainting(AB, PHOTOS, listOf(cover(), mask)) }
        }
        val margins = mapOf<String, (Int) -> Margins>(
            "left" to { Margins(left = it) }, "top" to { Margins(top = it) }, "right" to { Margins(right = it) },
            "bottom" to { Margins(bottom = it) },
        )
        for ((name, margin) in margins) {
            for (side in listOf(-1, 16385)) {
                fails<OptionsException>("$name is $side") { outpainting(AB, photo(0), margin(side)) }
            }
            fails<OptionsException>("canvas has", "each side may have 16384") {
                outpainting(AB, photo(0, 1, 1), margin(16384))
            }
        }
        fails<OptionsException>("2 negative prompts for 3 prompts") { TextToImage(AB + AB[0], AB) }
        fails<OptionsException>("has 10000001 characters") { Prompt.Text("x".repeat(10_000_001)) }
    }
    runner.test("half of a surrogate pair is no text, wherever it stands") {
        for (text in listOf("", "a", "\uD83E\uDD8A", "a\uD83E\uDD8Ab\uD83E\uDD8A")) check(isUnicode(text)) { text }
        for (text in listOf("\uD83E", "\uDD8A", "a\uD83E", "\uD83Ea", "\uDD8A\uD83E", "\uD83E\uD83E\uDD8A")) {
            check(!isUnicode(text)) { quoted(text) }
            fails<OptionsException>("half of a surrogate pair") { Prompt.Text(text) }
        }
    }
    runner.test("embeddings are of as many rows as is said, and have Python's hash") {
        val hidden = FloatArray(6) { 0.5f * it - 1 }
        val pooled = floatArrayOf(3.25f, -0.0f)
        val given = Prompt.Embeddings(hidden, 2, pooled)
        hidden.fill(9f) // what a caller does later changes nothing
        equal(given.sha256, "bb497d3752c870f2ab12043bd1f5c96ad1435c5b9589ae9fe808e521ab456a54") // NumPy and hashlib
        equal(given.hidden.toList(), List(6) { 0.5f * it - 1 })
        equal(given.pooled.toList(), listOf(3.25f, -0.0f))
        equal(given.width, 3)
        equal(Prompt.Embeddings(hidden, 1, pooled).width, 6)
        for (rows in listOf(-1, 0, 4, 7)) {
            fails<OptionsException>("6 values, which are not $rows rows") { Prompt.Embeddings(hidden, rows, pooled) }
        }
        fails<OptionsException>("hidden states", "no value") { Prompt.Embeddings(FloatArray(0), 1, pooled) }
        fails<OptionsException>("pooled", "no value") { Prompt.Embeddings(hidden, 2, FloatArray(0)) }
        for (bad in listOf(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY)) {
            fails<OptionsException>("NaN or infinity") { Prompt.Embeddings(hidden, 2, floatArrayOf(0f, bad)) }
        }
        Prompt.Embeddings(hidden, 2, floatArrayOf(Float.MAX_VALUE, -Float.MAX_VALUE))
    }
}

private fun recordTests(runner: Tests) {
    val micro = MicroConditioning(1.0, 2.0, 3.0)
    runner.test("a task's pictures come prompt by prompt, and each alone has what is its own") {
        val places = listOf(0 to 5uL, 0 to 6uL, 1 to 5uL, 1 to 6uL).map { (prompt, picture) -> Place(prompt, picture) }
        val negative = texts(listOf("c", "d"))
        val all = listOf(
            TextToImage(AB, negative, 2, 5uL, micro),
            Variation(AB, PHOTOS, 0.25, Fit.PAD, negative, 2, 5uL, micro),
            Inpainting(AB, PHOTOS, MASKS, 0.25, Fit.PAD, Coverage.ANY, false, 3, negative, 2, 5uL, micro),
        )
        for (task in all) {
            equal(task.places, places)
            val alone = task.single(places[3])
            equal(alone.places, listOf(Place(0, 6uL)))
            equal(listOf(alone.prompts, alone.negativePrompts), listOf(texts(listOf("b")), texts(listOf("d"))))
            equal(alone.microConditioning, micro)
            equal(alone.kind, task.kind)
            if (alone is FromPictures) equal(alone.images, listOf(PHOTOS[1]))
            if (alone is Inpainting) equal(alone.masks, listOf(MASKS[1]))
        }
        val own = mapOf("strength" to 0.25, "fit" to "pad")
        val more = mapOf("coverage" to "any", "paste_back" to false, "feather" to BigInteger.valueOf(3))
        equal(all.map { recordOf(it.single(places[3])).own }, listOf(mapOf(), own, own + more))
        equal(all.map { it.kind }, listOf("text_to_image", "variation", "inpainting"))
    }
    runner.test("what is left out of a task has its default, and one value stands for all prompts") {
        val nothing = texts(listOf("", ""))
        val once = listOf(Place(0, 0uL), Place(1, 0uL))
        val plain = Inpainting(AB, PHOTOS.take(1), MASKS.take(1))
        val around = outpainting(AB, photo(0), Margins())
        for (task in listOf(TextToImage(AB), Variation(AB, PHOTOS.take(1)), plain, around)) {
            equal(task.negativePrompts, nothing)
            equal(task.places, once)
            equal(task.microConditioning, null)
        }
        equal(plain.images, List(2) { PHOTOS[0] })
        equal(plain.masks, List(2) { MASKS[0] })
        equal(Variation(AB, PHOTOS).images, PHOTOS)
        equal(recordOf(Variation(AB, PHOTOS)).own, mapOf("strength" to 0.5, "fit" to "crop"))
        val own = mapOf("strength" to 1.0, "paste_back" to true, "feather" to BigInteger.ZERO)
        equal(recordOf(plain).own, own + mapOf("fit" to "crop", "coverage" to "half"))
        equal(recordOf(around).own, own + mapOf("fit" to "exact", "coverage" to "any"))
        equal(around.images[0].data.toList(), photo(0).data.toList()) // without margins
        equal(Task("a", "b").prompts, AB)
    }
    runner.test("parameters give back the task of their picture, and the options that draw it") {
        val tasks = listOf(
            TextToImage(AB, picturesPerPrompt = 3, microConditioning = micro),
            Variation(AB, PHOTOS, 0.25, Fit.PAD, picturesPerPrompt = 3),
            Inpainting(AB, PHOTOS, MASKS, 0.25, Fit.PAD, Coverage.ANY, false, 3, picturesPerPrompt = 3),
        )
        for (task in tasks) {
            val alone = task.single(Place(1, 2uL))
            val kept = PictureParameters.fromJson(parametersOf(alone).toJson())
            val image = (alone as? FromPictures)?.images?.single()
            val mask = (alone as? Inpainting)?.masks?.single()
            for (again in listOf(kept.restore(image, mask), kept.given(task))) {
                equal(again.javaClass, alone.javaClass)
                equal(recordOf(again).toJson(), recordOf(alone).toJson())
                equal(again.places, listOf(Place(0, 2uL)))
            }
            equal(kept.prompt, "b")
            equal(kept.picture, 2uL)
            equal(kept.bundleName + kept.bundleSha256, "a bundle" + "ab".repeat(32))
            equal(kept.options.settings(SamplerSettings(guidanceScale = 3.0)), SamplerSettings(steps = 7))
            equal(kept.options.seed, ULong.MAX_VALUE)
            fails<StateException>("not the one of the picture") { kept.given(task.single(Place(0, 2uL))) }
            fails<StateException>("not the one of the picture") { kept.given(task.single(Place(1, 1uL))) }
        }
        equal(edited(tasks[1].single(Place(0, 0uL)), "strength", BigInteger.ONE).restore(PHOTOS[0]).kind, "variation")
    }
    runner.test("parameters ask for the pictures of then, and say what is wrong") {
        val tasks = listOf(TextToImage(AB), Variation(AB, PHOTOS), Inpainting(AB, PHOTOS, MASKS))
        val (text, variation, inpainting) = tasks.map { it.single(Place(0, 0uL)) }
        fails<StateException>("text_to_image has no image; leave it out") { parametersOf(text).restore(PHOTOS[0]) }
        fails<StateException>("text_to_image has no mask") { parametersOf(text).restore(null, MASKS[0]) }
        fails<StateException>("variation needs its image; give it as it was") { parametersOf(variation).restore() }
        fails<StateException>("variation has no mask") { parametersOf(variation).restore(PHOTOS[0], MASKS[0]) }
        fails<StateException>("inpainting needs its mask") { parametersOf(inpainting).restore(PHOTOS[0]) }
        fails<StateException>("inpainting needs its image") { parametersOf(inpainting).restore(null, MASKS[0]) }
        fails<StateException>("not the one") { parametersOf(inpainting).restore(PHOTOS[1], MASKS[0]) }
        fails<StateException>("not the one") { parametersOf(inpainting).restore(PHOTOS[0], MASKS[1]) }
        val given = TextToImage(listOf(Prompt.Embeddings(FloatArray(2), 1, FloatArray(1))))
        equal(parametersOf(given).prompt, null)
        equal(parametersOf(given).given(given).prompts, given.prompts)
        fails<StateException>("prompt embeddings; give them again") { parametersOf(given).restore() }
        val wrong = mapOf(
            "strength" to "much", "fit" to "huge", "coverage" to "none", "paste_back" to BigInteger.ONE,
            "feather" to true,
        )
        for ((name, value) in wrong) {
            fails<StateException>("cannot be drawn again", name) {
                edited(inpainting, name, value).restore(PHOTOS[0], MASKS[0])
            }
        }
        fails<StateException>("damaged") { edited(variation, "strength", null) }
        fails<StateException>("half of a surrogate") { edited(variation, "fit", "\uD83E") }
    }
    runner.test("parameters of another format are refused, as are texts that are none") {
        val tree = mutable(parseJson(parametersOf(TextToImage(AB)).toJson()))
        fun with(value: Any?, vararg path: Any?): String {
            val other = mutable(tree)
            put(other, path.asList(), value)
            return dumpJson(other)
        }
        equal(Values.of(tree).text("format"), "amused-edge picture")
        equal(Values.of(tree).int("version"), 1)
        fails<StateException>("another format") { PictureParameters.fromJson(with("x", "format")) }
        fails<StateException>("another format") { PictureParameters.fromJson(with(BigInteger.TWO, "version")) }
        for (name in listOf("name", "sha256")) {
            fails<StateException>("half of a surrogate") { PictureParameters.fromJson(with("\uD83E", "bundle", name)) }
        }
        fails<StateException>("not JSON") { PictureParameters.fromJson("{") }
        fails<StateException>("parameters is not a JSON object") { PictureParameters.fromJson("NaN") }
    }
}

private fun stateOf(
    next: Int = 3, height: Int = 2, width: Int = 3, probability: Float = 0.5f, ratio: Double = 0.25,
) = PictureState(
    parametersOf(TextToImage(AB)), next, height, width, IntArray(height * width) { 1 shl it % 30 },
    FloatArray(height * width) { if (it % 2 == 0) probability else 0f }, ratio,
)

private fun stateTests(runner: Tests) {
    runner.test("a state that is written is read again, as Python wrote it") {
        for (case in VectorSet("states").cases) {
            val state = PictureState.fromJson(case.given.text("text"))
            val again = PictureState.fromJson(state.toJson())
            equal(again.tokens.toList(), state.tokens.toList())
            equal(again.probability.toList(), state.probability.toList())
            val packed = setOf("tokens", "probability", "sha256")
            val (written, before) = listOf(state.toJson(), case.given.text("text")).map { parseJson(it) as Map<*, *> }
            equal(written.keys, before.keys)
            val numbers = (written - packed).mapValues { dumpJson(floats(it.value), sorted = true) }
            equal(numbers, (before - packed).mapValues { dumpJson(floats(it.value), sorted = true) })
        }
    }
    runner.test("a state stands within its limits, to the last") {
        val good = listOf(
            stateOf(0), stateOf(7), stateOf(height = 4096, width = 1), stateOf(height = 1, width = 4096),
            stateOf(probability = 1f), stateOf(probability = 0f), stateOf(ratio = 1.0), stateOf(ratio = 5e-324),
        )
        for (state in good) {
            val again = PictureState.fromJson(state.toJson())
            equal(again.tokens.toList(), state.tokens.toList())
            equal(again.probability.toList(), state.probability.toList())
            equal(listOf(again.nextStep, again.gridHeight, again.gridWidth, again.startingMaskRatio),
                listOf(state.nextStep, state.gridHeight, state.gridWidth, state.startingMaskRatio))
        }
        val bad = listOf(
            stateOf(-1), stateOf(8), stateOf(height = 4097, width = 1), stateOf(height = 1, width = 4097),
            stateOf(height = 0), stateOf(width = 0), stateOf(probability = 1.0000001f), stateOf(probability = -1e-30f),
            stateOf(probability = Float.NaN), stateOf(ratio = 0.0), stateOf(ratio = 1.0000000000000002),
            stateOf(ratio = Double.NaN),
        )
        for (state in bad) fails<StateException>("begin the picture again") { PictureState.fromJson(state.toJson()) }
    }
    runner.test("a state has as many values as its grid has places") {
        val state = stateOf()
        for (count in listOf(0, 5, 7, 8, 12)) {
            val (tokens, probability) = IntArray(count) to FloatArray(count)
            for ((some, others) in listOf(tokens to state.probability, state.tokens to probability)) {
                val other = PictureState(state.parameters, 3, 2, 3, some, others, 1.0)
                fails<StateException>("not as many values as tokens") { PictureState.fromJson(other.toJson()) }
            }
        }
        for (grid in listOf(listOf(2), listOf(2, 3, 1), listOf())) {
            fails<StateException>("grid") { PictureState.fromJson(sealed(state) { put(it, listOf("grid"), grid) }) }
        }
        for (text in listOf("", "eJ", "eJw", "eJx!", "AAAA", "eJw7LcPA4CvCwKDOxMAwS5aB")) {
            val changed = sealed(state) { put(it, listOf("tokens"), text) }
            fails<StateException>("the state is damaged (") { PictureState.fromJson(changed) }
        }
    }
    runner.test("a step of one of several pictures goes on to its own state") {
        val tokens = List(2) { IntArray(6) { i -> 10 * it + i } }
        val probability = List(2) { FloatArray(6) { i -> 0.1f * it + i } }
        val step = Step(5, 7, tokens, tokens, listOf(), listOf(), probability)
        val next = stateOf().after(step, 1)
        equal(next.nextStep, 6)
        check(next.tokens === tokens[1] && next.probability === probability[1]) { "another picture" }
        check(stateOf().after(step).tokens === tokens[0]) { "not the first picture" }
        equal(listOf(next.isFinished, stateOf(7).isFinished), listOf(false, true))
        equal(listOf(next.gridHeight, next.gridWidth, next.startingMaskRatio), listOf<Any>(2, 3, 0.25))
    }
}

/** Whole numbers as floats: some vectors are written with fewer digits. */
private fun floats(value: Any?): Any? = when (value) {
    is BigInteger -> value.toDouble()
    is List<*> -> value.map(::floats)
    is Map<*, *> -> value.mapValues { floats(it.value) }
    else -> value
}

/** A state's text with something changed, and the hash that fits it. */
private fun sealed(state: PictureState, change: (Any?) -> Unit): String {
    val tree = mutable(parseJson(state.toJson()))
    change(tree)
    val content = Values.of(tree).map - "sha256"
    return dumpJson(content + ("sha256" to hashOf(content)))
}
