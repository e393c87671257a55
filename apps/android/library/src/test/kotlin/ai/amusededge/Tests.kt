package ai.amusededge

import ai.amusededge.bundle.dumpJson
import ai.amusededge.sampling.*
import ai.amusededge.support.IdleEngine
import ai.amusededge.support.PipeEngine
import ai.amusededge.support.Python
import ai.amusededge.support.ROOT
import ai.amusededge.support.Runner
import ai.amusededge.support.Tests
import ai.amusededge.support.VectorSet
import ai.amusededge.support.answers
import ai.amusededge.support.bundleOf
import ai.amusededge.support.check
import ai.amusededge.support.differencesOf
import ai.amusededge.support.equal
import ai.amusededge.support.reportOf
import ai.amusededge.support.setNames
import java.io.File
import java.lang.management.ManagementFactory
import kotlin.system.exitProcess

/**
 * What the library's tests run: `test [NAME...]`, `conformance [--json]`, `recipes` (all of them, 12 prompts each),
 * `step-time` (the sampler at full size), `soak [PICTURES] [SEED]` and `fuzz`.
 */
public fun main(arguments: Array<String>) {
    val rest = arguments.drop(1)
    when (arguments.firstOrNull()) {
        "test" -> test(rest)
        "conformance" -> conformance(rest)
        "recipes" -> recipes()
        "step-time" -> stepTime()
        "soak" -> soak(rest.firstOrNull()?.toInt() ?: 1000, rest.getOrNull(1)?.toLong() ?: 0)
        "fuzz" -> Runner(emptyList()).also(::mutatedTests).end()
        else -> error("say test, conformance, recipes, step-time, soak or fuzz")
    }
}

private fun test(wanted: List<String>) {
    val runner = Runner(wanted)
    quickTests(runner)
    Python().use { python ->
        val engine = PipeEngine(python)
        for (name in setNames()) {
            val missing = name.startsWith("pictures-") && bundleOf(name.removePrefix("pictures-")) == null
            runner.test("conformance: $name", "`make recipes` makes the bundle".takeIf { missing }) {
                val report = reportOf(name, engine)
                equal(report.line().substringBefore(" ("), "PASS $name ${report.cases}/${report.cases}")
            }
        }
        pipelineTests(runner, python)
        benchmarkTests(runner, python)
        soakTests(runner, python)
    }
    runner.end()
}

private fun quickTests(runner: Tests) {
    samplingTests(runner)
    storeTests(runner)
    mutatedTests(runner)
    taskTests(runner)
    bundleTests(runner)
    drawingTests(runner)
    pictureTests(runner)
}

/** The tests that planted faults are shown to, by their names: all but those that compare with Python. */
public fun testsWithoutEngine(): Map<String, Runnable> {
    val found = LinkedHashMap<String, Runnable>()
    val keeper = object : Tests {
        override fun test(name: String, skip: String?, body: () -> Unit) {
            found[name] = Runnable(body)
        }
    }
    quickTests(keeper)
    for (name in setNames().filter { !it.startsWith("pictures-") }) {
        val parts = if (name == "damaged-bundles") 12 else 1
        for (part in 0 until parts) keeper.test("conformance: $name $part") { vectorsOf(name, part, parts) }
    }
    return found
}

/** Checks each [parts]th of the cases of a set. */
private fun vectorsOf(name: String, part: Int, parts: Int) {
    val set = VectorSet(name)
    val answer = answers(IdleEngine).getValue(name)
    for (case in set.cases.filterIndexed { i, _ -> i % parts == part }) {
        if (case.expect["error"] == "GraphError") continue // a real engine's
        equal(differencesOf(case, answer, set), listOf())
    }
}

private fun conformance(rest: List<String>) {
    val reports = Python().use { python -> setNames().map { reportOf(it, PipeEngine(python)) } }
    if ("--json" in rest) {
        val runtime = mapOf(
            "name" to "amused-edge (Kotlin)", "engine" to "onnxruntime in Python, behind a pipe",
            "system" to "Java ${System.getProperty("java.version")}, ${System.getProperty("os.name")}",
        )
        val head = mapOf("format" to "amused-edge conformance report", "version" to 1, "runtime" to runtime)
        println(dumpJson(head + ("sets" to reports.map { it.toJson() })))
    } else {
        reports.forEach { println(it.line()) }
        val counts = listOf("PASS", "FAIL", "SKIP").joinToString { s -> "${reports.count { it.status == s }} $s" }
        println("${reports.size} sets: $counts")
    }
    exitProcess(if (reports.any { it.status == "FAIL" }) 1 else 0)
}

private fun recipes() {
    val prompts = File(ROOT, "demo/sheet.txt").readLines().filter { it.isNotBlank() }.take(12)
    Python().use { python ->
        for (recipe in listOf("fp32", "fp16", "w8", "w8a8", "w4")) {
            compareRecipe(recipe, prompts, python)
            println("$recipe: ${prompts.size} pictures, every step has Python's tokens")
        }
    }
}

/** Times a step of the sampler at 16 x 16 tokens of 8192 codes, all masked, with guidance. */
private fun stepTime() {
    val (positions, codes) = 256 to 8192
    val table = List(positions) { logitsOf(codes, 3.0, it.toLong()) }
    val rules = LoopRules(3, SamplerSettings(), 16, 16, codes, codes)
    val state = LoopState(IntArray(positions) { codes }, FloatArray(positions) { 1f }, 1, 1f)
    val logits = GuidedLogits { position, row, scratch ->
        table[position].copyInto(row)
        table[(position + 1) % positions].copyInto(scratch)
        guide(scratch, row, 10f)
    }
    val bean = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean
    for (threads in listOf(1, 2)) {
        Workers(threads).use { workers ->
            val drawer = StepDrawer(rules, workers)
            repeat(10) { drawer.draw(logits, state, it) }
            val before = bean.getThreadAllocatedBytes(Thread.currentThread().id)
            val times = List(21) { step ->
                val start = System.nanoTime()
                drawer.draw(logits, state, step % 12)
                (System.nanoTime() - start) / 1e6
            }.sorted()
            val bytes = (bean.getThreadAllocatedBytes(Thread.currentThread().id) - before) / times.size
            println("sampler, $threads threads: %.1f ms a step (%.1f to %.1f), $bytes bytes of this thread"
                .format(times[10], times.first(), times.last()))
        }
    }
    val stream = PhiloxStream(1, 2, 3, 0)
    repeat(3) { uniforms(positions * codes, stream) }
    val times = List(7) {
        val start = System.nanoTime()
        uniforms(positions * codes, stream)
        (System.nanoTime() - start) / 1e6
    }.sorted()
    println("%d random numbers: %.1f ms".format(positions * codes, times[3]))
    check(VectorSet("full-steps").cases.isNotEmpty()) { "no vectors" }
}
