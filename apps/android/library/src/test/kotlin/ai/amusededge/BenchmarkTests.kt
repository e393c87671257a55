package ai.amusededge

import ai.amusededge.benchmark.BenchmarkOptions
import ai.amusededge.benchmark.Device
import ai.amusededge.benchmark.DeviceBenchmark
import ai.amusededge.benchmark.Memory
import ai.amusededge.benchmark.MemoryWatch
import ai.amusededge.benchmark.Probe
import ai.amusededge.benchmark.Records
import ai.amusededge.benchmark.Subject
import ai.amusededge.benchmark.processMemory
import ai.amusededge.benchmark.told
import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.Role
import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.parseJson
import ai.amusededge.engines.Engine
import ai.amusededge.engines.Graph
import ai.amusededge.sampling.GenerationOptions
import ai.amusededge.support.DEMO
import ai.amusededge.support.PipeEngine
import ai.amusededge.support.Python
import ai.amusededge.support.Runner
import ai.amusededge.support.Values
import ai.amusededge.support.check
import ai.amusededge.support.equal
import ai.amusededge.support.fails
import java.util.concurrent.Semaphore

/** A device whose clock moves by a second at each look, and which grows warmer with it. */
private class FakeProbe : Probe {
    @Volatile
    private var now = 0.0

    override fun seconds(): Double = ++now

    override fun memory(): Memory = Memory(1000 + now.toLong(), 600, 400 + now.toLong())

    override fun thermal(): String = if (now > 40) "severe" else "none"

    override fun celsius(): Double = 30 + now / 10
}

private object Broken : Engine {
    override fun load(bundle: Bundle, role: Role): Graph = throw GraphException("no such kernel")
}

private val DEVICE =
    Device("Test phone", "a CPU", "Linux", "Kotlin on the JVM", mapOf("amused-edge" to "0.1.0"), null, 8)
private const val MADE = "2026-11-29T05:22:58+00:00"

internal fun benchmarkTests(runner: Runner, python: Python) {
    val engine = PipeEngine(python)
    val options = BenchmarkOptions("a fox", GenerationOptions(steps = 2), rounds = 2, calls = 1, threads = 1)
    runner.test("a device's results are those of its clock, and Python reads them") {
        val subjects = listOf(Subject("one", DEMO, engine), Subject("two", DEMO, engine), Subject("bad", DEMO, Broken))
        val turns = ArrayList<String>()
        val text = DeviceBenchmark(subjects, options, DEVICE, FakeProbe()).run(MADE) { label, _, _ -> turns.add(label) }
        equal(turns, listOf("one", "two", "bad", "two", "one"))
        val results = Values.of(parseJson(text))
        val pictures = results.all("timings").filter { it["part"] == "picture" }
        equal(pictures.map { it["label"] }, listOf<Any?>("one", "two"))
        equal(pictures[1].values("seconds").double("median"), 1.0)
        equal(pictures[1].values("ratio").int("rounds"), 2)
        equal(results.all("failures").map { it["reason"] }, listOf<Any?>("no such kernel"))
        equal(results.all("course").map { it["thermal"] }.last(), "severe" as Any?)
        check(results.all("golden").all { it["reproduced"] == true }) { "not reproduced" }
        val line = python.ask("results", "results" to results.map) as String
        check(line.startsWith("Test phone: a CPU, 8 cores; Linux; Kotlin on the JVM")) { line }
    }
    runner.test("a benchmark that can measure nothing says why, and one that is cancelled ends") {
        val broken = listOf(Subject("bad", DEMO, Broken))
        fails<OptionsException>("nothing could be measured; bad: no such kernel") {
            DeviceBenchmark(broken, options, DEVICE, FakeProbe()).run(MADE)
        }
        val cancellation = Cancellation().apply { cancel() }
        fails<CancelledException> {
            DeviceBenchmark(listOf(Subject("one", DEMO, engine)), options, DEVICE, FakeProbe()).run(MADE, cancellation)
        }
        fails<OptionsException>("label") { DeviceBenchmark(broken + broken, options, DEVICE, FakeProbe()) }
    }
    runner.test("a peak within a call is seen") {
        val looks = Semaphore(0)
        val probe = object : Probe {
            @Volatile
            var total = 1000L

            override fun memory() = Memory(total, null, null).also { looks.release() }
        }
        val records = Records(listOf("one"))
        MemoryWatch(probe) { records.see("one", it) }.use {
            probe.total = 9000
            looks.drainPermits()
            looks.acquire(2) // the first of them may have begun before
            probe.total = 2000
        }
        equal(records.peaks["one"], Memory(9000, null, null))
    }
    runner.test("this process tells its memory") {
        val memory = processMemory()
        check(memory == null || memory.total > 10_000_000) { "$memory" }
        AmusedPipeline.open(DEMO, engine).use { pipeline ->
            check(pipeline.checkGolden().told().startsWith("computes the bundle")) { pipeline.checkGolden().told() }
        }
        equal(dumpJson(mapOf("a" to 1.0)), "{\"a\": 1.0}")
    }
}
