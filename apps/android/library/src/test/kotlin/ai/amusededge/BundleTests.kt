package ai.amusededge

import ai.amusededge.bundle.*
import ai.amusededge.pictures.RgbImage
import ai.amusededge.support.DEMO
import ai.amusededge.support.Tests
import ai.amusededge.support.Values
import ai.amusededge.support.check
import ai.amusededge.support.equal
import ai.amusededge.support.fails
import ai.amusededge.support.mutable
import ai.amusededge.support.put
import java.io.File
import java.math.BigDecimal
import java.math.BigInteger

internal fun bundleTests(runner: Tests) {
    jsonTests(runner)
    fieldTests(runner)
    manifestTests(runner)
    goldenTests(runner)
}

private fun jsonTests(runner: Tests) {
    runner.test("JSON is read as Python reads it") {
        val read = mapOf(
            "[]" to listOf<Any>(), " { } " to mapOf<String, Any>(), "\"\"" to "", "[ 1 , 2 ]" to listOf(one, two),
            "{\"a\" : 1 , \"b\":[]}" to mapOf("a" to one, "b" to listOf<Any>()), "-0" to BigInteger.ZERO,
            "1e2" to 100.0, "1E-2" to 0.01, "-1.5e+1" to -15.0, "0.5" to 0.5, "\t\n\r null" to null, "true" to true,
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"" to "\"\\/\b\u000c\n\r\t", "\" ~\u007f\"" to " ~\u007f",
            "\"\\u0041\\u09af\\u00AFx\"" to "A\u09af\u00afx", "\"\\ud83e\\udd8a\"" to "\uD83E\uDD8A",
            "9".repeat(4300) to BigInteger("9".repeat(4300)),
            "{\"a\": 1, \"a\": 2}" to mapOf("a" to two),
        )
        for ((text, value) in read) equal(parseJson(text), value)
        var deepest = parseJson("[".repeat(901) + "]".repeat(901))
        repeat(900) { deepest = (deepest as List<*>).single() }
        equal(deepest, listOf<Any>())
        parseJson("{\"a\":".repeat(900) + "1" + "}".repeat(900))
        val constants = parseJson("[NaN, Infinity, -Infinity]", constants = true)
        equal(constants, listOf(Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY))
    }
    runner.test("what is no JSON is refused where it goes wrong") {
        val wrong = mapOf(
            "" to 0, " " to 1, "[1" to 2, "[1 2]" to 3, "[,]" to 1, "[1,]" to 3, "{\"a\"}" to 4, "{\"a\":}" to 5,
            "{1:2}" to 1, "{\"a\":1" to 6, "{\"a\":1 \"b\":2}" to 7, "{\"a\":1,}" to 7, "{} []" to 3, "01" to 1,
            "1." to 1, "+1" to 0, ".5" to 0, "-" to 0, "1e" to 1, "nul" to 0, "NaN" to 0, "-Infinity" to 0, "x" to 0,
            "\"a" to 2, "\"" to 1, "\"\\" to 3, "\"\\x\"" to 3, "\"\u001f\"" to 1, "'a'" to 0,
            "\"\\u" to 3, "\"\\u004" to 3, "\"\\u004\"" to 3, "\"\\u004" + "g\"" to 3, "9".repeat(4301) to 4301,
            "[".repeat(902) to 901, "{\"a\":".repeat(901) + "1" to 4505,
        ) + "/:@G`g".associate { "\"\\u00${it}0\"" to 3 }
        for ((text, at) in wrong) {
            fails<JsonException>(", at character $at") { parseJson(text).also { error("$text is read as $it") } }
        }
    }
    runner.test("JSON is written as Python writes it") {
        val written = mapOf(
            "a/\"\\\b\u000c\n\r\t\u0000\u001f \u007fé\uD83E\uDD8A" to
                ("\"a/\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f \u007fé\uD83E\uDD8A\"" to
                    "\"a/\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f \\u007f\\u00e9\\ud83e\\udd8a\""),
            listOf(one, null, true, 0.5f, 2) to ("[1, null, true, 0.5, 2]" to "[1, null, true, 0.5, 2]"),
            mapOf("b" to one, "a" to listOf<Any>(), "é" to "é") to
                ("{\"b\": 1, \"a\": [], \"é\": \"é\"}" to "{\"a\": [], \"b\": 1, \"\\u00e9\": \"\\u00e9\"}"),
        )
        for ((value, texts) in written) {
            equal(dumpJson(value), texts.first)
            equal(dumpJson(value, sorted = true), texts.second)
        }
    }
}

private val one = BigInteger.ONE
private val two = BigInteger.TWO

private fun fieldTests(runner: Tests) {
    runner.test("fields hold what is asked of them, to the last number") {
        fun fields(value: Any?) = Fields(mapOf("x" to value), "here")
        fun number(text: String) = fields(BigInteger(text))
        equal(listOf("2147483647", "-2147483648").map { number(it).int("x") }, listOf(Int.MAX_VALUE, Int.MIN_VALUE))
        for (text in listOf("2147483648", "-2147483649")) {
            fails<BundleException>("here: \"x\" is $text") { number(text).int("x") }
        }
        val (most, least) = listOf("9223372036854775807", "-9223372036854775808").map { number(it).long("x") }
        equal(listOf(most, least), listOf(Long.MAX_VALUE, Long.MIN_VALUE))
        for (text in listOf("9223372036854775808", "-9223372036854775809")) {
            fails<BundleException>("here: \"x\" is $text") { number(text).long("x") }
        }
        equal(number("3").float("x"), 3.0)
        equal(number(BigDecimal(Double.MAX_VALUE).toPlainString()).float("x"), Double.MAX_VALUE)
        fails<BundleException>("not a float") { number("9".repeat(400)).float("x") }
        equal(fields(listOf("a", "b")).texts("x"), listOf("a", "b"))
        equal(fields(null).optional("x"), null)
        equal(fields(mapOf("y" to "z")).optional("x")?.text("y"), "z")
        fails<BundleException>("here: \"x\" is [1], not a list of texts") { fields(listOf(one)).texts("x") }
        fails<BundleException>("here: x[1] is not a JSON object") {
            fields(listOf(mapOf<String, Any>(), one)).items("x") { it }
        }
        fails<BundleException>("here lacks \"y\"") { fields(1).raw("y") }
    }
}

/** The demo's manifest with another value at a place. */
private fun manifestWith(value: Any?, vararg path: Any?): Manifest {
    val tree = mutable(parseJson(File(DEMO, "manifest.json").readText()))
    put(tree, path.asList(), value)
    return readManifest(dumpJson(tree))
}

private fun manifestTests(runner: Tests) {
    runner.test("sizes of a bundle stay within their limits") {
        for (size in listOf(1, 1_048_575)) {
            equal(manifestWith(size.toBigInteger(), "geometry", "image_height").geometry.imageHeight, size)
        }
        for (size in listOf("0", "-1", "1048576", "4294967297", "-4294967297", "9223372036854775809")) {
            fails<BundleException>("image_height is $size") {
                manifestWith(size.toBigInteger(), "geometry", "image_height")
            }
        }
        val geometry = manifestWith("onnx", "target").geometry
        val codes = geometry.codebookSize
        equal(geometry.positions, geometry.gridHeight * geometry.gridWidth)
        equal(manifestWith(codes.toBigInteger(), "geometry", "mask_token_id").geometry.maskTokenId, codes)
        fails<BundleException>("one of the $codes codes") {
            manifestWith((codes - 1).toBigInteger(), "geometry", "mask_token_id")
        }
        for (real in listOf(-1e9, 1e9)) equal(manifestWith(real, *CROP).microConditioning.cropTop, real)
        for (real in listOf(-1.0000000001e9, 1.0000000001e9)) {
            fails<BundleException>("micro_conditioning: crop_top is $real") { manifestWith(real, *CROP) }
        }
        fails<OptionsException>("aesthetic_score is NaN") { MicroConditioning(aestheticScore = Double.NaN) }
        equal(MicroConditioning(), MicroConditioning(0.0, 0.0, 6.0))
    }
    runner.test("a manifest says which schema it is of, what optimized it, and what quantized it") {
        for (version in listOf("2", "2147483648", "4294967297", "18446744073709551617")) {
            fails<BundleException>("has schema version $version") {
                manifestWith(version.toBigInteger(), "schema_version")
            }
        }
        for (version in listOf("0", "-1", "-18446744073709551617")) {
            fails<BundleException>("no schema version $version") {
                manifestWith(version.toBigInteger(), "schema_version")
            }
        }
        for (name in listOf("portable", "cpu")) equal(manifestWith(name, "engine", "optimize").engine.optimize, name)
        fails<BundleException>("optimize is \"gpu\"") { manifestWith("gpu", "engine", "optimize") }
        equal(manifestWith(null, "quantization").recipe, "")
        val quantized = mapOf("parent" to "", "recipe" to mapOf("name" to "x"), "logits" to null, "pictures" to null)
        equal(manifestWith(quantized, "quantization").recipe, "x")
        equal(manifestWith(quantized + ("recipe" to mapOf<String, Any>()), "quantization").recipe, "")
    }
    runner.test("what was measured of a bundle is whole, or the manifest is damaged") {
        val floats = listOf("mean_kl", "max_kl", "total_variation", "top1", "top5", "equal_draws",
            "confidence_correlation", "max_logit_error")
        val logits = floats.associateWith { 0.5 } + mapOf("generations" to one, "rows" to two)
        val pictures = mapOf("psnr" to 30.0, "worst_psnr" to 20.0, "ssim" to 0.5, "equal_codes" to 1.0)
        val roles = mapOf("denoiser" to mapOf("x" to 0.5))
        val parity = mapOf("roles" to roles, "logits" to logits, "pictures" to pictures)
        val whole = mapOf(
            "parity" to parity,
            "quantization" to
                mapOf("recipe" to mapOf<String, Any>(), "parent" to "", "logits" to logits, "pictures" to pictures),
            "simulated" to parity + mapOf("evaluator" to "", "reference" to ""),
        )
        fun check(tree: Any?) = checkMeasurements(Fields(tree, "manifest"))
        check(whole)
        check(mapOf("parity" to null, "quantization" to null, "simulated" to null))
        for (path in pathsOf(whole)) {
            val other = mutable(whole)
            put(other, path, true)
            fails<BundleException>("${path.last()}", " is ") { check(other) }
            put(other, path, null)
            if (path.last() in listOf("psnr", "worst_psnr", "ssim") || path.size == 1) check(other)
        }
    }
    runner.test("a file of a bundle stays in its folder") {
        fun read(path: String) = readFile(Fields(mapOf("path" to path, "bytes" to two, "sha256" to "ab"), "file"))
        for (path in listOf("a", "a/b", "a..b", ".a", "a//b", "é", "a/")) equal(read(path), FileEntry(path, 2, "ab"))
        for (path in listOf("", "/", "/a", "..", "a/..", "../a", ".", "a/./b", "a\\b", "c:a", "a\u0000b", "//")) {
            fails<BundleException>("may lie outside the bundle") { read(path) }
        }
    }
    runner.test("a graph takes rows one by one where all of its inputs have one") {
        fun spec(vararg shape: Any?) =
            mapOf("name" to "n", "dtype" to "float32", "layout" to "", "shape" to shape.asList())
        fun graph(vararg inputs: Map<String, Any?>, files: Int = 1, derived: Any? = listOf<Any>()) = readGraph(
            Fields(
                mapOf(
                    "files" to List(files) { mapOf("path" to "a$it", "bytes" to two, "sha256" to "") },
                    "inputs" to inputs.asList(), "outputs" to listOf(spec("batch", two)),
                    "tensors" to mapOf<String, Any>(), "derived_tensors" to mapOf("d" to derived),
                    "stored_precision" to "", "executed_precision" to "",
                ),
                "graph",
            ),
        )
        val dynamic = graph(spec("batch", two), spec(one))
        equal(dynamic.isStatic, false)
        equal(graph(spec(one, two), spec(one)).isStatic, true)
        equal(graph(spec(two), spec(one)).isStatic, false)
        equal(graph(spec()).isStatic, false)
        equal(dynamic.inputs[0], TensorSpec("n", "float32", listOf(Dimension.Named("batch"), Dimension.Fixed(2))))
        equal(dynamic.outputs.size, 1)
        equal(graph(files = 2).files.map { it.path }, listOf("a0", "a1"))
        equal(graph(spec(Int.MAX_VALUE.toBigInteger())).inputs[0].shape, listOf(Dimension.Fixed(Int.MAX_VALUE)))
        fails<BundleException>("is not a list of numbers and names") { graph(spec(two.pow(31))) }
        fails<BundleException>("is not a list of numbers and names") { graph(spec(1.5)) }
        fails<BundleException>("a graph has no files") { graph(files = 0) }
        fails<BundleException>("\"d\" is [1], not a list of texts") { graph(derived = listOf(one)) }
    }
    runner.test("whoever no longer waits for a check of hashes is let go") {
        val bundle = Bundle.open(DEMO)
        val cancellation = Cancellation().apply { cancel() }
        fails<CancelledException> { bundle.verify(cancellation) }
        bundle.verify(Cancellation())
        equal(hex(byteArrayOf(0, 15, 16, -1)), "000f10ff")
        equal(utf8(byteArrayOf(-61, -87)), "é")
        equal(utf8(byteArrayOf(-61)), null)
    }
}

/** All places in a tree of objects. */
private fun pathsOf(tree: Any?): List<List<Any?>> = (tree as? Map<*, *>).orEmpty().flatMap { (name, inner) ->
    listOf(listOf(name)) + pathsOf(inner).map { listOf(name) + it }
}

private val CROP = arrayOf<Any?>("micro_conditioning", "crop_top")

private fun goldenTests(runner: Tests) {
    val image = RgbImage(5, 4, ByteArray(60) { (4 * it + 9).toByte() })
    val corner = IntArray(48) { 4 * (15 * (it / 12) + it % 12) + 9 }
    val golden = Golden(
        "a", intArrayOf(1, 2), DoubleArray(16) { it * 5 % 16 - 7.0 }, IntArray(10) { it }, corner, Tolerance(0.125, 3),
    )
    fun logits(at: Int = 0, off: Float = 0f) = FloatArray(20) { it * 5 % 16 - 7f + if (it == at) off else 0f }
    val tokens = golden.tokens
    runner.test("an engine's numbers are compared with the stored ones, each by its own measure") {
        val same = compareGolden(golden, intArrayOf(1, 2), logits(), tokens, image)
        equal(same, GoldenReport(true, 0.0, 1.0, 0, golden.tolerance))
        check(same.isReproduced) { "$same" }
        // The largest logit is 8: half of that is an error of 1/2, 1 one of 1/8.
        equal(compareGolden(golden, intArrayOf(1, 2), logits(3, -4f), tokens, image).logitError, 0.5)
        check(compareGolden(golden, intArrayOf(1, 2), logits(15, 1f), tokens, image).isReproduced) { "1/8 is allowed" }
        check(!compareGolden(golden, intArrayOf(1, 2), logits(0, 1.01f), tokens, image).isReproduced) { "too far" }
        equal(compareGolden(golden, intArrayOf(1, 2), logits(16, 9f), tokens, image).logitError, 0.0) // not stored
        val first = Golden("", golden.inputIds, DoubleArray(16) { 8.0 - it }, tokens, corner, golden.tolerance)
        val off = FloatArray(16) { if (it == 3) 1f else 8f - it }
        equal(compareGolden(first, intArrayOf(1, 2), off, tokens, image).logitError, 0.5)
        val lost = compareGolden(golden, intArrayOf(1, 2), logits(2, Float.NaN), tokens, image)
        equal(lost.logitError, Double.POSITIVE_INFINITY)
        val ids = compareGolden(golden, intArrayOf(2, 1), logits(), tokens, image)
        equal(listOf(ids.sameIds, ids.isReproduced), listOf(false, false))
        val other = compareGolden(golden, intArrayOf(1, 2), logits(), IntArray(10) { minOf(it, 6) }, image)
        equal(other.equalTokens, 0.7)
        check(other.isReproduced) { "a near-tie decides nothing" }
    }
    runner.test("of the picture the corner counts, to the last allowed level") {
        for ((at, off) in listOf(0 to 3, 11 to -3, 45 to 3, 56 to -3)) {
            val data = image.data.copyOf().also { it[at] = (it[at] + off).toByte() }
            val report = compareGolden(golden, intArrayOf(1, 2), logits(), tokens, RgbImage(5, 4, data))
            equal(report.pixelError, 3)
            check(report.isReproduced) { "$report" }
        }
        for ((at, error) in listOf(12 to 0, 59 to 0, 30 to 4)) {
            val data = image.data.copyOf().also { it[at] = (it[at] + 4).toByte() }
            val report = compareGolden(golden, intArrayOf(1, 2), logits(), tokens, RgbImage(5, 4, data))
            equal(report.pixelError to report.isReproduced, error to (error == 0))
        }
    }
    runner.test("a golden picture of other sizes is refused") {
        fun refused(name: String, ids: Int = 2, logits: Int = 20, tokens: Int = 10, of: Golden = golden) =
            fails<BundleException>("golden.json has", name) {
                compareGolden(of, IntArray(ids), FloatArray(logits), IntArray(tokens), image)
            }
        refused("2 input_ids, not 3", ids = 3)
        refused("16 logits, not 15", logits = 15)
        refused("10 tokens, not 9", tokens = 9)
        val short = Golden("", golden.inputIds, golden.logits, tokens, IntArray(47), golden.tolerance)
        refused("47 pixels, not 48", of = short)
        val few = Golden("", golden.inputIds, DoubleArray(15), tokens, corner, golden.tolerance)
        refused("15 logits, not 16", of = few)
    }
    runner.test("a golden picture is read with all that it has") {
        val text = File(DEMO, "golden.json").readText()
        val read = readGolden(text)
        val tree = Values.of(parseJson(text))
        val lost = mutable(tree.map).also { put(it, listOf("logits", BigInteger.ZERO), Double.NaN) }
        check(readGolden(dumpJson(lost)).logits[0].isNaN()) { "not as Python wrote it" }
        equal(read.inputIds.toList(), tree.ints("input_ids").toList())
        equal(read.logits.toList(), tree.list("logits").map { (it as Number).toDouble() })
        equal(read.tokens.toList(), tree.ints("tokens").toList())
        equal(read.pixels.toList(), tree.ints("pixels").toList())
        equal(read.prompt, tree.text("prompt"))
        val tolerance = tree.values("tolerance")
        equal(read.tolerance, Tolerance(tolerance.double("logits"), tolerance.int("pixels")))
    }
}
