package ai.amusededge

import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.Role
import ai.amusededge.engines.Engine
import ai.amusededge.examples.drawOn
import ai.amusededge.examples.tasks
import ai.amusededge.pictures.GreyImage
import ai.amusededge.pictures.RgbImage
import ai.amusededge.sampling.*
import ai.amusededge.support.DEMO
import ai.amusededge.support.PipeEngine
import ai.amusededge.support.Python
import ai.amusededge.support.Runner
import ai.amusededge.support.bundleOf
import ai.amusededge.support.check
import ai.amusededge.support.equal
import ai.amusededge.support.fails
import ai.amusededge.tasks.*
import java.io.File
import java.io.RandomAccessFile
import java.nio.file.Files
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import kotlin.concurrent.thread

private const val PROMPT = "a red fox on a blue background"
private const val ODD = "ein \"Füchslein\" \uD83E\uDD8A \\ \t é"

@Suppress("UNCHECKED_CAST")
private fun Python.states(vararg values: Pair<String, Any?>): List<String> = ask("states", *values) as List<String>

private fun sameStates(found: List<PictureState>, expected: List<String>) {
    equal(found.size, expected.size)
    found.zip(expected).forEachIndexed { step, (one, text) ->
        val other = PictureState.fromJson(text)
        check(one.tokens.contentEquals(other.tokens)) { "other tokens before step $step" }
        equal(one.nextStep, other.nextStep)
    }
}

private fun AmusedPipeline.statesFrom(state: PictureState): List<PictureState> {
    val states = arrayListOf(state)
    resume(state).use { steps -> for (step in steps) states.add(states.last().after(step)) }
    return states
}

/** Compares the tokens of a bundle's pictures with Python's, step by step. */
internal fun compareRecipe(recipe: String, prompts: List<String>, python: Python) {
    val folder = bundleOf(recipe) ?: throw AssertionError("there is no build/demo-$recipe")
    AmusedPipeline.open(folder, PipeEngine(python), PipelineOptions(keepGraphs = true)).use { pipeline ->
        prompts.forEachIndexed { seed, prompt ->
            val begun = pipeline.begin(Task(prompt), GenerationOptions(seed = seed.toULong())).single()
            val expected = python.states(
                "bundle" to folder.path, "prompt" to prompt, "options" to mapOf("seed" to seed),
            )
            sameStates(pipeline.statesFrom(begun), expected)
        }
    }
}

internal fun pipelineTests(runner: Runner, python: Python) {
    val engine = PipeEngine(python)
    fun open(options: PipelineOptions = PipelineOptions(keepGraphs = true)) = AmusedPipeline.open(DEMO, engine, options)

    runner.test("hundreds of odd prompts have Python's ids") {
        val prompts = oddPrompts()
        val expected = python.ask("ids", "bundle" to DEMO.path, "prompts" to prompts) as List<*>
        open().use { pipeline ->
            prompts.zip(expected).forEach { (prompt, ids) ->
                equal(pipeline.idsOf(prompt).asList(), (ids as List<*>).map { (it as Number).toInt() })
            }
        }
        fails<OptionsException>("not valid Unicode") { open().use { it.idsOf("a \uD83E b") } }
    }
    runner.test("tokens are Python's at each step, with guidance that changes, orders, schedules, odd prompts") {
        compareRecipe("w8", listOf(PROMPT), python)
        val options = GenerationOptions(
            ULong.MAX_VALUE, 5, 4.0, Temperature.Scalar(1.5), Schedule.LINEAR, GuidanceRamp.COSINE,
            GuidanceInterval(0.2, 0.9), Order.HALTON,
        )
        val given = mapOf(
            "seed" to ULong.MAX_VALUE.toString().toBigInteger(), "steps" to 5, "guidance_scale" to 4.0,
            "temperature" to 1.5, "schedule" to "linear", "guidance_ramp" to "cosine",
            "guidance_interval" to listOf(0.2, 0.9), "order" to "halton",
        )
        val task = TextToImage(texts(listOf(ODD)), texts(listOf("blue")), firstPicture = 3uL)
        val expected = python.states(
            "bundle" to DEMO.path, "prompt" to ODD, "options" to given,
            "task" to mapOf("negative_prompts" to "blue", "first_picture" to 3),
        )
        open().use { sameStates(it.statesFrom(it.begin(task, options).single()), expected) }
    }
    runner.test("states go on in Python, and Python's here, to the same picture") {
        open().use { pipeline ->
            val here = pipeline.statesFrom(pipeline.begin(Task(ODD), GenerationOptions(seed = 5uL, steps = 4)).single())
            val there = python.states("bundle" to DEMO.path, "state" to here[2].toJson())
            sameStates(here.drop(2), there)
            val back = PictureState.fromJson(there[1])
            sameStates(pipeline.statesFrom(back), there.drop(1))
            val pixels = python.ask("picture", "bundle" to DEMO.path, "state" to here.last().toJson()) as List<*>
            val image = pipeline.finish(here.last()).image
            equal(image.data.map { it.toInt() and 255 }, pixels.map { (it as Number).toInt() })
            val again = PictureParameters.fromJson(back.parameters.toJson())
            val drawn = pipeline.generate(again.restore(), again.options).single()
            check(drawn.tokens.contentEquals(here.last().tokens)) { "the parameters draw another picture" }
        }
    }
    runner.test("the golden output is reproduced") {
        open().use { check(it.checkGolden().isReproduced) { "${it.checkGolden()}" } }
    }
    runner.test("one graph is in memory at a time, and pictures of a prompt share the denoiser") {
        val counting = PipeEngine(python)
        val task = TextToImage(texts(listOf("a fox", "a cat")), picturesPerPrompt = 2)
        val options = GenerationOptions(steps = 2)
        val low = AmusedPipeline.open(DEMO, counting).use { it.generate(task, options) }
        equal(counting.most, 1)
        equal(counting.loaded.get(), 0)
        open().use { high ->
            val drawn = high.generate(task, options)
            for ((one, other) in low.zip(drawn)) {
                check(one.image.data.contentEquals(other.image.data)) { "keeping graphs draws another picture" }
            }
            val alone = TextToImage(texts(listOf("a cat")), firstPicture = 1uL)
            check(high.generate(alone, options).single().tokens.contentEquals(drawn[3].tokens)) { "not the same alone" }
            val steps = high.stream(task, options).use { it.toList() }
            check(steps.last().tokens[3].contentEquals(drawn[3].tokens)) { "side by side it is another picture" }
        }
    }
    drawnTests(runner, ::open)
    threadTests(runner, engine, ::open)
}

private fun drawnTests(runner: Runner, open: () -> AmusedPipeline) {
    runner.test("examples of the guide draw") {
        open().use { pipeline ->
            val photo = RgbImage(64, 64, ByteArray(3 * 64 * 64) { it.toByte() })
            val mask = GreyImage(64, 64, ByteArray(64 * 64) { if (it % 64 < 32) -1 else 0 })
            val drawn = tasks(pipeline, photo, mask)
            equal(drawn.size, 7)
            val kept = drawn[5].image.data
            check(kept[3 * 63] == photo.data[3 * 63]) { "the part outside the mask has changed" }
            val saved = ArrayList<String>()
            val image = drawOn(pipeline, PROMPT, null, saved::add, {}, Cancellation())
            val again = drawOn(pipeline, PROMPT, saved[3], {}, {}, Cancellation())
            check(image.data.contentEquals(again.data)) { "a saved state went on to another picture" }
        }
    }
    runner.test("what a caller does with the arrays of a state or a step changes no picture") {
        open().use { pipeline ->
            val photo = RgbImage(64, 64, ByteArray(3 * 64 * 64) { it.toByte() })
            val task = Variation(texts(listOf(PROMPT)), listOf(photo), strength = 0.1)
            val options = GenerationOptions(steps = 4)
            val (one, other) = List(2) {
                val begun = pipeline.begin(task, options).single() // too weak for a step: the photo's tokens
                begun.tokens.toList().also { begun.tokens.fill(0) }
            }
            equal(one, other)
            val drawn = pipeline.generate(PROMPT, options).tokens
            var last = listOf<Int>()
            pipeline.stream(Task(PROMPT), options).use { steps ->
                for (step in steps) {
                    last = step.tokens[0].toList()
                    step.tokens[0].fill(0)
                    step.probability[0].fill(0f)
                }
            }
            equal(last, drawn.toList())
        }
    }
    runner.test("embeddings stand for their prompt") {
        open().use { pipeline ->
            val options = GenerationOptions(steps = 2)
            val given = TextToImage(listOf(pipeline.embed(PROMPT)))
            val drawn = pipeline.generate(given, options).single()
            check(drawn.tokens.contentEquals(pipeline.generate(PROMPT, options).tokens)) { "another picture" }
            val state = pipeline.begin(given, options).single()
            fails<StateException>("embeddings") { pipeline.resume(state) }
            val short = TextToImage(listOf(Prompt.Embeddings(FloatArray(4), 2, FloatArray(2))))
            fails<OptionsException>("hidden_states", "[77, 128]") { pipeline.generate(short) }
        }
    }
    runner.test("what cannot be drawn is refused before a graph is loaded") {
        fails<OptionsException>("steps is 0") { SamplerSettings(steps = 0) }
        fails<OptionsException>("guidance_scale is NaN") { SamplerSettings(guidanceScale = Double.NaN) }
        fails<OptionsException>("no prompt") { TextToImage(listOf()) }
        fails<OptionsException>("strength is 2") { Variation(texts(listOf("a")), listOf(tiny()), 2.0) }
        fails<OptionsException>("picture's size") {
            Inpainting(texts(listOf("a")), listOf(tiny()), listOf(GreyImage(3, 2, ByteArray(6))))
        }
        fails<OptionsException>("2 images for 1 prompts") { Variation(texts(listOf("a")), listOf(tiny(), tiny())) }
        open().use { pipeline ->
            fails<OptionsException>("proportions") {
                pipeline.generate(outpainting(texts(listOf("a")), tiny(), Margins(left = 7)))
            }
            fails<OptionsException>("codebook") { pipeline.decode(IntArray(256) { 319 }) }
            fails<OptionsException>("2x2 pixels") { pipeline.encode(tiny()) }
        }
    }
}

private fun tiny() = RgbImage(2, 2, ByteArray(12))

private fun threadTests(runner: Runner, engine: PipeEngine, open: () -> AmusedPipeline) {
    runner.test("another thread cancels between two calls of a graph; nothing stays in memory") {
        AmusedPipeline.open(DEMO, engine).use { pipeline ->
            val held = engine.loaded.get()
            val cancellation = Cancellation()
            engine.onRun = { if (it == Role.DENOISER) thread { cancellation.cancel() }.join() }
            try {
                fails<CancelledException> { pipeline.generate(PROMPT, cancellation = cancellation) }
            } finally {
                engine.onRun = {}
            }
            equal(engine.loaded.get(), held)
            val begun = pipeline.stream(Task(PROMPT))
            begun.use { equal(it.first().index, 0) }
            equal(engine.loaded.get(), held)
        }
    }
    runner.test("threads draw at the same time what each draws alone") {
        open().use { pipeline ->
            val options = GenerationOptions(steps = 3)
            val prompts = listOf("a fox", "a cat", "a panda", "a fox")
            val alone = prompts.map { pipeline.generate(it, options).tokens }
            val pool = Executors.newFixedThreadPool(4)
            val together = prompts.map { pool.submit(Callable { pipeline.generate(it, options).tokens }) }
            together.zip(alone).forEach { (one, other) -> check(one.get().contentEquals(other)) { "another picture" } }
            pool.shutdown()
        }
    }
    runner.test("a closed pipeline draws no more, also where it is closed while it draws") {
        val pipeline = open()
        val steps = pipeline.stream(Task(PROMPT)).iterator()
        steps.next()
        pipeline.close()
        pipeline.close()
        fails<GraphException>("closed") { steps.next() }
        fails<GraphException>("closed") { pipeline.generate(PROMPT) }
        equal(engine.loaded.get(), 0)
    }
    runner.test("a state of another bundle, and one that is not finished, are refused") {
        open().use { pipeline ->
            val state = pipeline.begin(Task(PROMPT)).single()
            fails<StateException>("12 steps to go") { pipeline.finish(state) }
            val text = state.toJson().replace("\"next_step\": 0", "\"next_step\": 1")
            fails<StateException>("hash") { PictureState.fromJson(text) }
            fails<StateException>("not the one of the picture") { pipeline.resume(state, Task("a cat")) }
        }
    }
    runner.test("a changed byte is seen when a bundle is opened, unless the app knows better") {
        val copy = Files.createTempDirectory("amused-edge").toFile()
        val engine = object : Engine {
            override fun load(bundle: Bundle, role: Role) = error("no graph is needed to open a bundle")
        }
        try {
            DEMO.copyRecursively(copy, overwrite = true)
            RandomAccessFile(File(copy, "image_encoder.onnx.data"), "rw").use { file ->
                file.seek(5000)
                val byte = file.read()
                file.seek(5000)
                file.write(byte xor 1)
            }
            fails<BundleException>("image_encoder.onnx.data") { AmusedPipeline.open(copy, engine) }
            AmusedPipeline.open(copy, engine, PipelineOptions(verify = false)).close()
        } finally {
            copy.deleteRecursively()
        }
    }
    runner.test("what is no bundle is refused") {
        fails<BundleException>("is not a bundle") { Bundle.open(DEMO.parentFile) }
        Bundle.open(DEMO).verify()
        val linked = Files.createTempDirectory("amused-edge")
        try {
            for (file in DEMO.listFiles().orEmpty()) {
                Files.createSymbolicLink(linked.resolve(file.name), file.toPath())
            }
            fails<BundleException>("link that leaves the bundle") { Bundle.open(linked.toFile()) }
        } finally {
            linked.toFile().deleteRecursively()
        }
    }
}

/** Texts of odd characters, put together at random. */
private fun oddPrompts(): List<String> {
    val parts = listOf(
        "a fox", "FOX", " ", "\t\n", "it's", "we'LL", "don''t", "12 345", "½²", "ﬁne", "é", "e\u0301",
        "İstanbul", "ΣΑΣ", "ß", "\uD83E\uDD8A", "\uD83D\uDC68\u200D\uD83D\uDC69", "日本語", "한국어",
        "\u1112\u1161\u11ab", "नमस्ते", "ไทย", "Ω", "Å", "<|endoftext|>", "<|startoftext|>", "<|END|>", "!!!",
        "...", "--", "\u00a0", "\u3000", "\u200b", "\u0000", "\u007f", "@user_name", "x'y'z", "𝔘𝔫𝔦", "Ǆ", "ŉ",
        "ǰ", "\u0345", "ͅα", "①", "Ⅷ", "٣", "\uFEFF", "\u0130", "K", "long".repeat(30),
    )
    val picks = uniforms(2400, PhiloxStream(42, 0, 0, 0))
    val mixed = List(400) { i -> List(1 + i % 6) { parts[(picks[6 * i + it] * parts.size).toInt()] }.joinToString("") }
    return parts + listOf("", "a ".repeat(200)) + mixed
}
