package ai.amusededge

import ai.amusededge.bundle.pythonFloat
import ai.amusededge.sampling.*
import ai.amusededge.support.Runner
import ai.amusededge.support.check
import ai.amusededge.support.equal
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

internal fun samplingTests(runner: Runner) {
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
    runner.test("ties go to the lowest code, also where it is looked at last") {
        val row = FloatArray(64) { -5f }
        for (code in listOf(20, 21, 50)) row[code] = 2f
        equal(RowSampler(64).draw(row, { _, words -> words.fill(Int.MIN_VALUE) }, 3), 20)
    }
    runner.test("no noise is above its bound") {
        for (word in 0L until (1L shl 32) step 65_521 * 7) {
            val bound = noiseBound(word.toInt())
            check(gumbel(uniform(word.toInt())) <= bound && bound <= LARGEST_NOISE) { "word $word" }
        }
        check(gumbel(uniform(-1)) <= LARGEST_NOISE) { "the largest" }
    }
    runner.test("the sum of exponentials is that of float64 to the last bits of float32") {
        for (deviation in listOf(0.1, 2.0, 10.0, 100.0)) {
            val row = logitsOf(8192, deviation, 99)
            val highest = row.max()
            val exact = row.sumOf { exp((it - highest).toDouble()) }
            check(kotlin.math.abs(expSum(row, highest, FloatArray(8192)) / exact - 1) < 4e-7) { "deviation $deviation" }
        }
        check(expSum(floatArrayOf(0f, Float.NaN, 1f), 1f, FloatArray(3)).isNaN()) { "NaN is lost" }
    }
    runner.test("a NaN or an infinite logit is an error at any place of a row") {
        val rules = LoopRules(0, SamplerSettings(steps = 2), 1, 3, 40, 50)
        val state = LoopState(IntArray(3) { 50 }, FloatArray(3) { 1f }, 0, 1f)
        for (bad in listOf(Float.NaN, Float.POSITIVE_INFINITY)) {
            for (code in listOf(0, 17, 39)) {
                ai.amusededge.support.fails<GenerationException>("not finite at step 1") {
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
    runner.test("after their end the caller works alone") {
        val workers = Workers(3)
        workers.close()
        val shares = java.util.concurrent.ConcurrentLinkedQueue<List<Any>>()
        workers.share(256, 2048) { from, until -> shares.add(listOf(from, until, Thread.currentThread())) }
        equal(shares.toList(), listOf(listOf<Any>(0, 256, Thread.currentThread())))
    }
    runner.test("floats are written as Python's repr writes them") {
        val written = mapOf(
            10.0 to "10.0", 1e-5 to "1e-05", 0.0001 to "0.0001", 1e16 to "1e+16", 0.1 to "0.1", -0.0 to "-0.0",
            2e-3 to "0.002", 5e-324 to "5e-324", 1.7976931348623157e308 to "1.7976931348623157e+308",
            123456789012345.0 to "123456789012345.0",
            2.0e23 to "2e+23", 0.30000000000000004 to "0.30000000000000004", 9007199254740993.0 to "9007199254740992.0",
        )
        for ((value, text) in written) equal(pythonFloat(value), text)
    }
}
