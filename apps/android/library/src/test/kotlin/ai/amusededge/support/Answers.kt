package ai.amusededge.support

import ai.amusededge.AmusedEdgeException
import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.Role
import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.parseJson
import ai.amusededge.bundle.readGolden
import ai.amusededge.drawing.PromptTokenizer
import ai.amusededge.drawing.Start
import ai.amusededge.drawing.inpaintingStart
import ai.amusededge.drawing.variationStart
import ai.amusededge.engines.Engine
import ai.amusededge.engines.loadGraph
import ai.amusededge.pictures.Coverage
import ai.amusededge.pictures.Fit
import ai.amusededge.pictures.fitted
import ai.amusededge.pictures.pasteBack
import ai.amusededge.pictures.pixelMask
import ai.amusededge.pictures.tokenMask
import ai.amusededge.sampling.*
import ai.amusededge.tasks.Margins
import ai.amusededge.tasks.PictureState
import ai.amusededge.tasks.Prompt
import ai.amusededge.tasks.hashOf
import ai.amusededge.tasks.outpainting
import ai.amusededge.tasks.pictureHash
import java.io.File
import java.nio.file.Files

private const val MASK = 9999
private const val UNIT = 1f / (1 shl 24)

private fun scheduleOf(given: Values, other: Schedule = Schedule.LINEAR): Schedule =
    given["schedule"]?.let { name -> Schedule.values().first { it.id == name } } ?: other

private fun uniformsOf(value: Any?): FloatArray = floatsOf(value).map { it * UNIT }.toFloatArray()

private fun places(mask: BooleanArray): List<Int> = mask.indices.filter { mask[it] }

private fun settingsOf(value: Any?): SamplerSettings = readSettings(ai.amusededge.bundle.Fields(value, "settings"))

private fun stream(given: Values, purpose: Long = given.long("purpose")) =
    PhiloxStream(given.long("seed"), given.long("picture"), given.long("step"), purpose)

/** Blocks of noise that a test chose, in place of a stream's. */
private fun chosen(numerators: IntArray) = Noise { index, words ->
    for (i in 0 until BLOCK) words[i] = ((numerators.getOrElse((BLOCK * index + i).toInt()) { 1 } - 1) / 2) shl 9
}

private fun philox(given: Values): Map<String, Any?> {
    val words = IntArray(BLOCK)
    stream(given).block(given.long("block"), words)
    return mapOf("words" to List(4) { "%08x%08x".format(words[2 * it + 1], words[2 * it]) })
}

private fun draws(given: Values): Map<String, Any?> {
    val tokens = given.list("logits").mapIndexed { i, values ->
        val row = floatsOf(values)
        val numerators = intsOf(given.list("numerators")[i])
        val fast = RowSampler(row.size).draw(row, chosen(numerators), 0)
        val plain = drawPlainly(row, FloatArray(row.size) { numerators[it] * UNIT })
        if (fast == plain) fast else listOf(fast, plain)
    }
    return mapOf("tokens" to tokens)
}

/** A row of the table of logits that a rule describes. */
private fun tableRow(rule: Values, step: Int, position: Int, row: FloatArray) {
    if ("constant" in rule.map) return row.fill(rule.float("constant"))
    val drop = rule.int("drop")
    val noise = PhiloxStream(rule.long("seed"), rule.long("picture"), step.toLong(), Purpose.TOKENS)
    uniforms(row.size, noise, position.toLong() * row.size).forEachIndexed { code, u ->
        val numerator = (u / UNIT).toInt() shr drop
        row[code] = (numerator - (1 shl (23 - drop))).toFloat() / (1 shl (20 - drop))
    }
}

/** Runs a loop of the kit; [threads] of the sampler. */
private fun loop(given: Values, most: Int, threads: Int): List<Map<String, Any?>> {
    val settings = settingsOf(given["settings"])
    val (height, width) = given.ints("grid").asList()
    val codes = given.int("codebook_size")
    val rules = LoopRules(given.long("seed"), settings, height, width, codes, given.int("mask_token_id"))
    val tokens = given.ints("tokens")
    val ratio = given.float("starting_mask_ratio")
    var state = LoopState(tokens, FloatArray(tokens.size) { 1f }, given.long("picture"), ratio)
    val logits = given.values("logits")
    val first = given.int("first_step")
    return Workers(threads).use { workers ->
        val drawer = StepDrawer(rules, workers)
        (first until settings.steps).filter { it - first < most }.map { step ->
            val scale = settings.guidanceAt(step)
            val drawn = drawer.draw({ position, row, scratch ->
                tableRow(logits.values("conditional"), step, position, row)
                if (scale > 1) {
                    tableRow(logits.values("unconditional"), step, position, scratch)
                    guide(scratch, row, scale.toFloat())
                }
            }, state, step)
            state = LoopState(drawn.tokens, drawn.probability, state.picture, state.startingMaskRatio)
            mapOf(
                "step" to step, "predicted" to drawn.predicted, "masked" to places(drawn.mask),
                "confidence" to drawn.confidence, "probability" to drawn.probability,
            )
        }
    }
}

private val tokenizers = HashMap<String, PromptTokenizer>()

private fun tokenizerIds(given: Values): Map<String, Any?> {
    val edits = given.all("edits")
    val length = given.int("length")
    val tokenizer = tokenizers.getOrPut(dumpJson(given["edits"]) + length) {
        val content = mutable(parseJson(File(DEMO, "tokenizer.json").readText()))
        edits.forEach { put(content, it.list("path"), it["value"]) }
        PromptTokenizer(dumpJson(content), length)
    }
    val pad = edits.firstOrNull { it.list("path").last() == "pad_id" }?.int("value") ?: 1113
    val encoded = tokenizer.encode(given.text("text"))
    var shown = encoded.ids.asList()
    while (shown.size > 1 && shown.last() == pad && shown[shown.size - 2] == pad) shown = shown.dropLast(1)
    return mapOf("ids" to shown, "pad_id" to pad, "cut" to (encoded.cut != null))
}

private fun told(start: Start): Map<String, Any?> = mapOf(
    "first_step" to start.firstStep,
    "masked" to start.tokens.indices.filter { start.tokens[it] == MASK },
    "starting_mask_ratio" to start.startingMaskRatio,
)

private fun starting(given: Values) = SamplerSettings(steps = given.int("steps"), schedule = scheduleOf(given))

private fun grid(given: Values): IntArray = given.ints("grid").let { (h, w) -> IntArray(h * w) { it } }

private fun states(given: Values): Map<String, Any?> {
    val state = PictureState.fromJson(given.text("text"))
    val parameters = Values.of(parseJson(dumpJson(state.parameters.content())))
    return mapOf(
        "bundle" to parameters["bundle"],
        "task" to parameters.values("task").map + ("picture" to state.parameters.picture.toString()),
        "settings" to parameters["settings"],
        "seed" to state.parameters.seed.toString(),
        "next_step" to state.nextStep,
        "starting_mask_ratio" to state.startingMaskRatio,
        "grid" to listOf(state.gridHeight, state.gridWidth),
        "tokens" to state.tokens,
        "probability" to state.probability,
    )
}

private fun stateHashes(given: Values): Map<String, Any?> {
    val content = Values.of(parseJson(given.text("text"))).map - "sha256"
    return mapOf("hashed" to dumpJson(content, sorted = true), "sha256" to hashOf(content))
}

/** Opens a damaged bundle as far as a stage: its files are there, unchanged, and make sense. */
private fun damagedBundles(given: Values, engine: Engine): Map<String, Any?> {
    val parent = File(ROOT, "build/android").apply { mkdirs() } // links are within one file system
    val folder = File(Files.createTempDirectory(parent.toPath(), "damaged").toFile(), "bundle")
    try {
        editedBundle(DEMO, folder, given.all("edits"))
        val bundle = Bundle.open(folder)
        val stage = given.text("stage")
        if (stage != "open") bundle.verify()
        if (stage == "load") {
            PromptTokenizer(bundle.text("tokenizer.json"), bundle.manifest.geometry.textLength)
            readGolden(bundle.text("golden.json"))
            for (role in Role.values()) loadGraph(engine, bundle, role).close()
        }
        return mapOf("opens" to true)
    } catch (error: AmusedEdgeException) {
        val said = (error.message ?: "").replace("\\\\", "\\")
        return mapOf("error" to nameOf(error), "named" to (given.text("says") in said))
    } finally {
        folder.parentFile.deleteRecursively()
    }
}

/** The kit's name of an error's kind. */
internal fun nameOf(error: AmusedEdgeException): String =
    error.javaClass.simpleName.removeSuffix("Exception").replace("Cancelled", "GenerationCancelled") + "Error"

/** What this runtime answers to each set of vectors that needs no bundle of another recipe. */
internal fun answers(engine: Engine): Map<String, (Values) -> Map<String, Any?>> = mapOf(
    "philox-words" to ::philox,
    "uniforms" to { g ->
        mapOf("numerators" to uniforms(g.int("count"), stream(g), g.long("first")).map { (it / UNIT).toInt() })
    },
    "gumbel" to { g -> mapOf("gumbel" to uniformsOf(g["numerators"]).map(::gumbel)) },
    "mask-ratios" to { g ->
        mapOf("ratios" to List(g.int("steps")) { maskRatio(scheduleOf(g), it, g.int("steps")) })
    },
    "mask-lengths" to { g ->
        var unknown = g.int("unknown")
        val (steps, positions, start) = Triple(g.int("steps"), g.int("sequence_length"), g.float("starting_mask_ratio"))
        mapOf("lengths" to List(steps - 1) { step ->
            unknown = maskLength(scheduleOf(g), step, steps, positions, unknown, start)
            unknown
        })
    },
    "temperatures" to { g ->
        val value = g["temperature"]
        val ends = (value as? List<*> ?: listOf(value)).map { (it as Number).toDouble() }
        val temperature = if (ends.size == 2) Temperature.Range(ends[0], ends[1]) else Temperature.Scalar(ends[0])
        mapOf("temperatures" to List(g.int("steps")) { temperatureAt(temperature, it, g.int("steps")) })
    },
    "guidance-scales" to { g ->
        val ramp = GuidanceRamp.values().first { it.id == g["guidance_ramp"] }
        val (begin, end) = g.list("guidance_interval").map { (it as Number).toDouble() }
        val steps = g.int("steps")
        val scale = g.double("guidance_scale")
        mapOf("scales" to List(steps) { guidanceAt(scale, ramp, GuidanceInterval(begin, end), it, steps) })
    },
    "halton-orders" to { g -> mapOf("order" to g.ints("grid").let { (h, w) -> haltonOrder(h, w) }) },
    "halton-starts" to { g ->
        mapOf("start" to haltonStart(g.long("seed"), g.long("picture"), g.int("positions")))
    },
    "guided-logits" to { g ->
        mapOf("logits" to g.list("unconditional").mapIndexed { i, values ->
            floatsOf(g.list("conditional")[i]).also { guide(floatsOf(values), it, g.float("guidance_scale")) }
        })
    },
    "draws" to ::draws,
    "log-probabilities" to { g ->
        mapOf("log_probabilities" to g.list("logits").mapIndexed { i, values ->
            floatsOf(values).let { RowSampler(it.size).logProbability(it, g.ints("tokens")[i]) }
        })
    },
    "confidences" to { g ->
        val noise = uniformsOf(g["numerators"])
        val logs = floatsOf(g["log_probabilities"])
        mapOf("confidences" to confidences(logs, g.ints("rows"), noise, g.float("temperature")))
    },
    "order-confidences" to { g ->
        val order = g.ints("grid").let { (h, w) -> haltonOrder(h, w) }
        mapOf("confidences" to orderConfidences(order, g.int("start"), g.ints("rows")))
    },
    "remasks" to { g -> mapOf("masked" to places(remask(floatsOf(g["confidences"]), g.int("mask_length")))) },
    "loops" to { g -> mapOf("steps" to loop(g, Int.MAX_VALUE, 1)) },
    "full-steps" to { g -> loop(g, 1, 2).single().filterKeys { it in listOf("step", "predicted", "masked") } },
    "tokenizer-ids" to ::tokenizerIds,
    "variation-starts" to { g ->
        told(variationStart(grid(g), g.double("strength"), starting(g), MASK, g.long("seed"), g.long("picture")))
    },
    "inpainting-starts" to { g ->
        val repaint = g.ints("repaint")
        val mask = BooleanArray(grid(g).size) { it in repaint }
        told(inpaintingStart({ grid(g) }, mask, g.double("strength"), starting(g), MASK))
    },
    "token-masks" to { g ->
        val coverage = Coverage.values().first { it.id == g["coverage"] }
        val (height, width) = g.ints("grid").asList()
        mapOf("repaint" to places(tokenMask(maskOf(g.values("mask")), height, width, coverage)))
    },
    "pasted-pictures" to { g ->
        val (drawn, original) = imageOf(g.values("drawn")) to imageOf(g.values("original"))
        mapOf("pixels" to pasteBack(drawn, original, pixelMask(maskOf(g.values("mask"))), g.int("feather")).data)
    },
    "fitted-pictures" to { g ->
        val rule = g.values("picture")
        val fit = Fit.values().first { it.id == g["fit"] }
        val (height, width) = g.ints("size").asList()
        val data = if (isGrey(rule)) maskOf(rule).fitted(width, height, fit).data
        else imageOf(rule).fitted(width, height, fit).data
        mapOf("pixels" to data)
    },
    "outpainting-canvases" to { g ->
        val margins = Margins(g.int("left"), g.int("top"), g.int("right"), g.int("bottom"))
        val task = outpainting(listOf(Prompt.Text("")), imageOf(g.values("picture")), margins)
        mapOf(
            "size" to listOf(task.images[0].height, task.images[0].width), "pixels" to task.images[0].data,
            "mask" to task.masks[0].data, "fit" to task.fit.id, "coverage" to task.coverage.id,
        )
    },
    "picture-hashes" to { g ->
        val rule = g.values("picture")
        mapOf("sha256" to if (isGrey(rule)) pictureHash(maskOf(rule)) else pictureHash(imageOf(rule)))
    },
    "states" to ::states,
    "state-hashes" to ::stateHashes,
    "damaged-states" to ::states,
    "damaged-bundles" to { g -> damagedBundles(g, engine) },
)

/** Returns an answer; of an error its kind. */
internal fun answered(answer: (Values) -> Map<String, Any?>, given: Values): Map<String, Any?> = try {
    answer(given)
} catch (error: AmusedEdgeException) {
    mapOf("error" to nameOf(error))
}
