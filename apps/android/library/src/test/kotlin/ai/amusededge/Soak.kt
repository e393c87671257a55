package ai.amusededge

import ai.amusededge.pictures.GreyImage
import ai.amusededge.pictures.RgbImage
import ai.amusededge.sampling.*
import ai.amusededge.support.DEMO
import ai.amusededge.support.PipeEngine
import ai.amusededge.support.Python
import ai.amusededge.support.Runner
import ai.amusededge.support.check
import ai.amusededge.support.equal
import ai.amusededge.tasks.*
import java.util.Random
import java.util.Timer
import java.util.TimerTask
import java.util.concurrent.Callable
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.ConcurrentSkipListMap
import java.util.concurrent.Executors
import kotlin.system.exitProcess

private const val AT_ONCE = 6

/** Bytes that memory may grow by after the first third. */
private const val ALLOWED = 24_000_000L

/** Many pictures at once, with pipelines that are shared or come and go: who stays, cancels, leaves, saves, closes. */
internal class Soak(private val engine: PipeEngine, private val seed: Long) {
    private val drawn = tasks()
    private val timer = Timer(true)
    private val expected = open(true).use { alone ->
        drawn.map { (task, options) -> pixels(alone.generate(task, options)) }
    }

    /** How often each end came. */
    val came = ConcurrentSkipListMap<String, Int>()
    val wrong = ConcurrentLinkedQueue<String>()

    private fun open(keepGraphs: Boolean) =
        AmusedPipeline.open(DEMO, engine, PipelineOptions(keepGraphs, samplerThreads = 1, verify = false))

    /** Threads draw with one pipeline. */
    fun threads(numbers: IntRange) = open(true).use { pipeline -> all(numbers, AT_ONCE) { one(pipeline, it) } }

    /** Each thread opens pipelines, which keep graphs or drop them, and are closed by another thread meanwhile. */
    fun pipelines(numbers: IntRange) = all(numbers, AT_ONCE / 2) { number ->
        val chance = chances(-1L - number)
        val pipeline = open(chance.nextBoolean())
        val closing = later((chance.nextDouble() * 1500).toLong(), pipeline::close)
        try {
            repeat(4) { one(pipeline, 4 * number + it) }
        } catch (error: GraphException) {
            if ("closed" !in error.message.orEmpty()) wrong.add("$error")
            count("closed")
        } finally {
            closing.cancel()
            pipeline.close()
        }
    }

    /** Draws one of the tasks, and perhaps changes one's mind. */
    private fun one(pipeline: AmusedPipeline, number: Int) {
        val chance = chances(number.toLong())
        val which = chance.nextInt(drawn.size)
        val (task, options) = drawn[which]
        when (chance.nextInt(5)) {
            0 -> cancelled(pipeline, which, chance.nextInt(200).toLong())
            1 -> {
                pipeline.stream(task, options).use { steps -> steps.take(1 + chance.nextInt(2)).toList() }
                count("left")
            }
            2 -> saved(pipeline, which)
            else -> compare(which, pipeline.generate(task, options), "drawn")
        }
    }

    private fun cancelled(pipeline: AmusedPipeline, which: Int, milliseconds: Long) {
        val (task, options) = drawn[which]
        val wish = Cancellation()
        val cancelling = later(milliseconds, wish::cancel)
        try {
            compare(which, pipeline.generate(task, options, wish), "faster than its end")
        } catch (_: CancelledException) {
            count("cancelled")
        } finally {
            cancelling.cancel()
        }
    }

    /** Draws each picture up to its first step, and goes on from the text of its state. */
    private fun saved(pipeline: AmusedPipeline, which: Int) {
        val (task, options) = drawn[which]
        val pictures = pipeline.begin(task, options).zip(task.places) { begun, place ->
            val alone = task.single(place)
            val first = pipeline.resume(begun, alone).use { steps -> steps.firstOrNull()?.let(begun::after) ?: begun }
            var state = PictureState.fromJson(first.toJson())
            pipeline.resume(state, alone).use { steps -> for (step in steps) state = state.after(step) }
            pipeline.finish(state, alone)
        }
        compare(which, pictures, "gone on with")
    }

    private fun compare(which: Int, pictures: List<Picture>, how: String) {
        count(how)
        if (pixels(pictures) != expected[which]) wrong.add("task $which, $how, is another picture")
    }

    private fun pixels(pictures: List<Picture>) = pictures.map { it.image.data.asList() }

    private fun count(how: String) {
        came.merge(how, 1, Int::plus)
    }

    private fun chances(number: Long) = Random(1_000_003 * seed + number)

    private fun later(milliseconds: Long, work: () -> Unit): TimerTask {
        val task = object : TimerTask() {
            override fun run() = work()
        }
        timer.schedule(task, milliseconds)
        return task
    }

    private fun all(numbers: IntRange, atOnce: Int, work: (Int) -> Unit) {
        val pool = Executors.newFixedThreadPool(atOnce)
        try {
            numbers.map { pool.submit(Callable { work(it) }) }.forEach { it.get() }
        } finally {
            pool.shutdown()
        }
    }
}

/** What is drawn: every kind of task, one picture or several, guided or not. */
private fun tasks(): List<Pair<Task, GenerationOptions>> {
    val random = Random(1)
    val fox = RgbImage(64, 64, ByteArray(3 * 64 * 64).also(random::nextBytes))
    val part = RgbImage(32, 32, ByteArray(3 * 32 * 32).also(random::nextBytes))
    val mask = GreyImage(64, 64, ByteArray(64 * 64) { if (it % 64 < 32) 0 else -1 })
    val prompt = texts(listOf("a fox"))
    val few = GenerationOptions(steps = 2)
    val unguided = GenerationOptions(steps = 3, guidanceScale = 1.0)
    val halton = GenerationOptions(steps = 3, order = Order.HALTON, temperature = Temperature.Scalar(0.0))
    return listOf(
        TextToImage(prompt) to few,
        TextToImage(texts(listOf("a boat", "a castle")), texts(listOf("red"))) to GenerationOptions(5uL, 2),
        TextToImage(texts(listOf("a panda")), picturesPerPrompt = 2) to unguided,
        TextToImage(prompt) to halton,
        Variation(prompt, listOf(fox), strength = 0.7) to few,
        Inpainting(prompt, listOf(fox), listOf(mask), strength = 1.0) to few,
        outpainting(prompt, part, Margins(16, 16, 16, 16)) to few,
    )
}

internal fun soakTests(runner: Runner, python: Python) {
    runner.test("pictures of many threads, some of whom cancel, leave or close, are those that are drawn alone") {
        val engine = PipeEngine(python)
        val soak = Soak(engine, 1)
        soak.threads(0..7)
        soak.pipelines(100..101)
        equal(soak.wrong.toList(), listOf())
        check("drawn" in soak.came) { "${soak.came}" }
        equal(engine.loaded.get(), 0)
    }
}

/** The same at length: ends with 1 where a picture is another one, a graph is left, or memory grows. */
internal fun soak(pictures: Int, seed: Long) {
    Python().use { python ->
        val engine = PipeEngine(python)
        val soak = Soak(engine, seed)
        val share = pictures / 6
        val runtime = Runtime.getRuntime()
        val used = (0 until 3).map { part ->
            val first = part * 2 * share
            soak.threads(first until first + share)
            soak.pipelines(first / 4 until (first + share) / 4)
            if (engine.loaded.get() != 0) soak.wrong.add("${engine.loaded} graphs are left")
            System.gc()
            val bytes = runtime.totalMemory() - runtime.freeMemory()
            println("${first + 2 * share} pictures: ${bytes / 1_000_000} MB, ${Thread.activeCount()} threads")
            bytes
        }
        if (used.drop(1).any { it > used[0] + ALLOWED }) soak.wrong.add("memory grows: $used")
        println("${soak.came}")
        soak.wrong.forEach { println("WRONG $it") }
        exitProcess(if (soak.wrong.isEmpty()) 0 else 1)
    }
}
