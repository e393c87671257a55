package ai.amusededge

import ai.amusededge.bundle.Fields
import ai.amusededge.bundle.pythonFloat
import ai.amusededge.sampling.*
import ai.amusededge.support.Tests
import ai.amusededge.support.check
import ai.amusededge.support.equal
import ai.amusededge.support.fails
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.CyclicBarrier
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.sqrt

/** Logits with this standard deviation, from a stream of their own. */
internal fun logitsOf(count: Int, deviation: Double, picture: Long): FloatArray {
    val (a, b) = listOf(0L, 1L).map { uniforms(count, PhiloxStream(5, picture, 0, it)) }
    return FloatArray(count) { (deviation * sqrt(-2 * ln(a[it].toDouble())) * cos(2 * PI * b[it])).toFloat() }
}

/** Half of the distance from 1 to the next float32. */
private const val UNIT = 1.0 / (1 shl 24)

internal fun samplingTests(runner: Tests) {
    runner.test("leaving out what cannot win draws the same codes as the plain way") {
        val stream = PhiloxStream(11, 2, 3, 0)
        var row = 0L
        for (codes in listOf(1, 7, 8, 9, 256, 1021, 8192)) {
            for (deviation in listOf(0.0, 0.5, 3.0, 8.0, 30.0, 1000.0)) {
                val values = logitsOf(codes, deviation, row)
                val first = row++ * 1003
                val expected = drawPlainly(values, uniforms(codes, stream, first))
                equal(RowSampler(codes).draw(values, stream, first), expected)
            }
        }
    }
    runner.test("noise is drawn only where a code could win, the likeliest first") {
        fun blocks(peaks: List<Float>, first: Long = 0): List<Long> {
            val asked = ArrayList<Long>()
            val row = FloatArray(8 * peaks.size) { if (it % 8 == 5) peaks[it / 8] else -30f }
            RowSampler(row.size).draw(row, { index, words -> asked.add(index).also { words.fill(0) } }, first)
            return asked
        }
        equal(blocks(listOf(0f, 0f, 50f, 0f)), listOf(2L))
        equal(blocks(listOf(7f, 6.9f, 10f, -9.5f, 8f, -9.4f), 800), listOf(100L, 102, 104, 101, 105))
        equal(blocks(listOf(7f, -20f, 10f, 6.9f)), listOf(0L, 2, 3))
        val ends = ArrayList<Long>() // a row of three blocks of noise, the first and last of which it shares
        RowSampler(10).draw(FloatArray(10), { index, words -> ends.add(index).also { words.fill(0) } }, 7)
        equal(ends, listOf(0L, 1, 2))
    }
    runner.test("a row's first code is drawn where all are alike, or lower than any number but one") {
        for (value in listOf(0f, -3e38f, Float.NEGATIVE_INFINITY)) {
            equal(RowSampler(20).draw(FloatArray(20) { value }, { _, words -> words.fill(7) }, 0), 0)
            equal(drawPlainly(FloatArray(20) { value }, FloatArray(20) { 0.5f }), 0)
        }
    }
    runner.test("ties go to the lowest code, also where it is looked at last") {
        val row = FloatArray(64) { -5f }
        for (code in listOf(20, 21, 50)) row[code] = 2f
        equal(RowSampler(64).draw(row, { _, words -> words.fill(Int.MIN_VALUE) }, 3), 20)
        // Numbers of this size are 16 apart: the noise of code 3, of 16.6, makes it the equal of code 40.
        val large = FloatArray(64) { if (it == 3) 134217728f else if (it == 40) 134217744f else 0f }
        equal(RowSampler(64).draw(large, { block, words -> words.fill(if (block == 0L) -1 else 0) }, 0), 3)
    }
    runner.test("of the least confident the smallest differences count, and the first of equals") {
        equal(remask(floatArrayOf(-1e-10f, -2e-10f), 1).toList(), listOf(false, true))
        equal(remask(floatArrayOf(1e-10f, -1e-10f), 1).toList(), listOf(false, true))
        equal(remask(floatArrayOf(0f, -0f), 1).toList(), listOf(true, false))
    }
    runner.test("no noise is above its bound") {
        for (word in 0L until (1L shl 32) step 65_521 * 7) {
            val bound = noiseBound(word.toInt())
            check(gumbel(uniform(word.toInt())) <= bound && bound <= LARGEST_NOISE) { "word $word" }
        }
        check(gumbel(uniform(-1)) <= LARGEST_NOISE) { "the largest" }
        for (bin in 0..4095) {
            val last = ((bin + 1) shl 20) - 1
            check(noiseBound(last) - gumbel(uniform(last)) in 0f..1e-4f) { "the bound of $bin spares nothing" }
            equal(noiseBound(bin shl 20), noiseBound(last))
        }
    }
    runner.test("the sum of exponentials is that of float64 to the last bits of float32") {
        for (deviation in listOf(0.1, 2.0, 10.0, 100.0)) {
            val row = logitsOf(8192, deviation, 99)
            val highest = row.max()
            val exact = row.sumOf { exp((it - highest).toDouble()) }
            check(kotlin.math.abs(expSum(row, highest, FloatArray(8192)) / exact - 1) < 4e-7) { "deviation $deviation" }
        }
        // NumPy's sums of exp(-(7919 i mod 4001) / 512), rounded to float32, in float32.
        val sums = mapOf(
            1 to 1f, 7 to 1.0044392f, 8 to 1.0056953f, 9 to 1.0071726f, 128 to 14.093388f, 129 to 14.16104f,
            136 to 15.115111f, 137 to 15.362577f, 139 to 15.995827f, 156 to 19.769707f, 250 to 32.267193f,
            264 to 32.35249f, 295 to 38.699356f, 1021 to 131.67877f, 1032 to 131.7253f, 8192 to 1047.9393f,
        )
        for ((count, sum) in sums) {
            equal(expSum(FloatArray(count) { -(7919 * it % 4001) / 512f }, 0f, FloatArray(count)), sum)
        }
        for (x in List(4101) { -it / 101f } + List(2773) { -it / 4001f }) {
            val e = if (x < -40) 0f else exp(x.toDouble()).toFloat()
            equal(expSum(floatArrayOf(0f, x), 0f, FloatArray(2)), 1f + e)
        }
        check(expSum(floatArrayOf(0f, Float.NaN, 1f), 1f, FloatArray(3)).isNaN()) { "NaN is lost" }
    }
    runner.test("a NaN or an infinite logit is an error at any place of a row") {
        val rules = LoopRules(0, SamplerSettings(steps = 2), 1, 3, 40, 50)
        val state = LoopState(IntArray(3) { 50 }, FloatArray(3) { 1f }, 0, 1f)
        for (bad in listOf(Float.NaN, Float.POSITIVE_INFINITY)) {
            for (code in listOf(0, 17, 39)) {
                fails<GenerationException>("not finite at step 1") {
                    StepDrawer(rules, Workers(1)).draw({ _, row, _ -> row[code] = bad }, state, 0)
                }
            }
        }
    }
    runner.test("threads draw what one draws") {
        val rules = LoopRules(3, SamplerSettings(), 16, 16, 2048, 2049)
        val state = LoopState(IntArray(256) { 2049 }, FloatArray(256) { 1f }, 1, 1f)
        val table = List(256) { logitsOf(2048, 3.0, it.toLong()) }
        val drawn = listOf(1, 3).map { threads ->
            Workers(threads).use { StepDrawer(rules, it).draw({ p, row, _ -> table[p].copyInto(row) }, state, 0) }
        }
        check(drawn[0].predicted.contentEquals(drawn[1].predicted)) { "other tokens" }
        check(drawn[0].confidence.contentEquals(drawn[1].confidence)) { "other confidences" }
    }
    runner.test("a step in which nothing is masked needs no logits, and the last one masks nothing") {
        val rules = LoopRules(0, SamplerSettings(steps = 2), 1, 3, 40, 50)
        val state = LoopState(intArrayOf(1, 2, 3), FloatArray(3) { 0.5f }, 0, 1f)
        val drawn = Workers(1).use { StepDrawer(rules, it).draw(null, state, 0) }
        equal(drawn.tokens.toList(), listOf(1, 2, 3))
        equal(drawn.probability.toList(), List(3) { 0.5f })
        check(drawn.mask.none { it }) { "something is masked" }
        check(drawn.confidence.all { it == Float.POSITIVE_INFINITY }) { "something was drawn" }
    }
    settingsTests(runner)
    workersTests(runner)
    runner.test("after their end the caller works alone") {
        val workers = Workers(3)
        workers.close()
        val shares = ConcurrentLinkedQueue<List<Any>>()
        workers.share(256, 2048) { from, until -> shares.add(listOf(from, until, Thread.currentThread())) }
        equal(shares.toList(), listOf(listOf<Any>(0, 256, Thread.currentThread())))
    }
    runner.test("floats are written as Python's repr writes them") {
        val written = mapOf(
            10.0 to "10.0", 1e-5 to "1e-05", 0.0001 to "0.0001", 1e16 to "1e+16", 0.1 to "0.1", -0.0 to "-0.0",
            2e-3 to "0.002", 5e-324 to "5e-324", 1.7976931348623157e308 to "1.7976931348623157e+308",
            123456789012345.0 to "123456789012345.0",
            Double.POSITIVE_INFINITY to "Infinity", Double.NEGATIVE_INFINITY to "-Infinity", Double.NaN to "NaN",
            2.0e23 to "2e+23", 0.30000000000000004 to "0.30000000000000004", 9007199254740993.0 to "9007199254740992.0",
        )
        for ((value, text) in written) equal(pythonFloat(value), text)
    }
}

private fun settingsTests(runner: Tests) {
    runner.test("what options leave open is the bundle's") {
        val bundle = SamplerSettings(
            7, 3.0, Temperature.Scalar(0.5), Schedule.LINEAR, GuidanceRamp.LINEAR, GuidanceInterval(0.25, 0.5),
            Order.HALTON,
        )
        equal(GenerationOptions().settings(bundle), bundle)
        equal(GenerationOptions().seed, 0uL)
        equal(optionsOf(9uL, bundle).settings(SamplerSettings()), bundle)
        equal(optionsOf(9uL, bundle).seed, 9uL)
        val temperature = Temperature.Range(2.0, 0.0)
        val plain = SamplerSettings(
            12, 10.0, temperature, Schedule.COSINE, GuidanceRamp.CONSTANT, GuidanceInterval(0.0, 1.0), Order.CONFIDENCE,
        )
        equal(SamplerSettings(), plain) // as in the reference
    }
    runner.test("settings stay within their limits") {
        for (steps in listOf(1, 10_000)) SamplerSettings(steps)
        for (real in listOf(0.0, 1e6)) {
            SamplerSettings(guidanceScale = real, temperature = Temperature.Range(real, real))
            SamplerSettings(temperature = Temperature.Scalar(real))
        }
        for (steps in listOf(0, 10_001)) fails<OptionsException>("steps is $steps") { SamplerSettings(steps) }
        for (real in listOf(-1e-9, 1_000_000.5, Double.NaN)) {
            fails<OptionsException>("guidance_scale is $real") { SamplerSettings(guidanceScale = real) }
            val temperatures =
                listOf(Temperature.Scalar(real), Temperature.Range(real, 1.0), Temperature.Range(1.0, real))
            for (one in temperatures) {
                fails<OptionsException>("temperature is $real") { SamplerSettings(temperature = one) }
            }
        }
        for ((begin, end) in listOf(0.5 to 0.25, 0.0 to 1.5, -0.5 to 0.5, Double.NaN to 0.5, 0.5 to Double.NaN)) {
            fails<OptionsException>("guidance_interval") { GuidanceInterval(begin, end) }
        }
        val fields = settingsToJson(SamplerSettings()).mapValues { (_, value) ->
            if (value is Int) value.toBigInteger() else value
        }
        fun read(name: String, value: Any?) = readSettings(Fields(fields + (name to value), "settings"))
        for (bits in listOf(31, 32, 64)) {
            val steps = 2.toBigInteger().pow(bits)
            fails<OptionsException>("steps is $steps; it must be between") { read("steps", steps) }
            fails<OptionsException>("steps is ${-steps - 1.toBigInteger()}; it must be") {
                read("steps", -steps - 1.toBigInteger())
            }
        }
        fails<OptionsException>("steps is 2147483647; it must be 10000 or less") {
            read("steps", Int.MAX_VALUE.toBigInteger())
        }
        fails<OptionsException>("schedule is \"x\"; choose one of: cosine, linear") { read("schedule", "x") }
        fails<OptionsException>("steps is 1.5; it must be a whole number") { read("steps", 1.5) }
        for (value in listOf(listOf(0.5), listOf(0.1, 0.2, 0.3), 0.5)) {
            fails<OptionsException>("guidance_interval", "pair") { read("guidance_interval", value) }
        }
    }
    runner.test("the unconditional branch runs where guidance is above 1") {
        fun guided(scale: Double, begin: Double = 0.0, end: Double = 1.0) =
            SamplerSettings(2, scale, guidanceInterval = GuidanceInterval(begin, end)).isGuided
        equal(listOf(0.5, 1.0, 1.5, 10.0).map { guided(it) }, listOf(false, false, true, true))
        equal(listOf(guided(3.0, 0.0, 0.3), guided(3.0, 0.7, 1.0), guided(3.0, 0.3, 0.7)), listOf(true, true, false))
    }
    runner.test("temperatures are NumPy's linspace, to the last bit of float32") {
        equal(temperatureAt(Temperature.Range(0.0, 3.5999998927116392), 5, 10), 1.9999999f)
        equal(temperatureAt(Temperature.Range(0.0, 1.428571684019906), 7, 11), 1.0000002f)
        equal(temperatureAt(Temperature.Range(24 * UNIT, 22 + 24 * UNIT), 15, 23), 15.000002f)
        equal(temperatureAt(Temperature.Range(0.1, 1 + UNIT), 3, 4), 1f)
    }
}

private fun workersTests(runner: Tests) {
    /** Returns the parts that were done, in order. */
    fun parts(threads: Int, count: Int, codes: Int): List<Pair<Int, Int>> = Workers(threads).use { workers ->
        val done = ConcurrentLinkedQueue<Pair<Int, Int>>()
        workers.share(count, codes) { from, until -> done.add(from to until) }
        done.sortedBy { it.first }
    }
    runner.test("rows are shared from where it pays, in parts that are all of them") {
        equal(parts(2, 2, 1 shl 16), listOf(0 to 1, 1 to 2))
        equal(parts(2, 2, (1 shl 16) - 1), listOf(0 to 2))
        equal(parts(1, 2, 1 shl 16), listOf(0 to 2))
        equal(parts(4, 1, 1 shl 20), listOf(0 to 1))
        equal(parts(4, 0, 1 shl 20), listOf(0 to 0))
        equal(parts(4, 3, 1 shl 20), listOf(0 to 1, 1 to 2, 2 to 3))
        equal(parts(3, 256, 2048), listOf(0 to 85, 85 to 170, 170 to 256))
        equal(parts(64, 40_000_000, 1).size, 64) // count times part is more than 32 bits hold
    }
    runner.test("threads work side by side, are waited for, and end with their workers") {
        val threads = ConcurrentHashMap.newKeySet<Thread>()
        Workers(3).use { workers ->
            repeat(3) {
                val meeting = CyclicBarrier(3)
                val done = AtomicInteger()
                workers.share(3, 1 shl 20) { from, _ ->
                    threads.add(Thread.currentThread())
                    meeting.await(10, TimeUnit.SECONDS)
                    if (from > 0) Thread.sleep(30) // the caller's part is done by then
                    done.incrementAndGet()
                }
                equal(done.get(), 3)
            }
        }
        equal(threads.size, 3)
        check(Thread.currentThread() in threads) { "the caller only waited" }
        for (thread in threads - Thread.currentThread()) {
            check(thread.isDaemon) { "$thread keeps a program from its end" }
            thread.join(10_000)
            check(!thread.isAlive) { "$thread goes on" }
        }
    }
    runner.test("what a part throws is thrown to the caller, whichever it is, once all are done") {
        for (bad in 0 until 3) {
            val done = AtomicInteger()
            fails<GenerationException>("part $bad") {
                Workers(3).use { workers ->
                    workers.share(3, 1 shl 20) { from, _ ->
                        if (from != bad) Thread.sleep(30)
                        done.incrementAndGet()
                        if (from == bad) throw GenerationException("part $from")
                    }
                }
            }
            equal(done.get(), 3)
        }
    }
}
