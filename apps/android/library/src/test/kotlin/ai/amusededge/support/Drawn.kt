package ai.amusededge.support

import ai.amusededge.AmusedPipeline
import ai.amusededge.PipelineOptions
import ai.amusededge.engines.Engine
import ai.amusededge.pictures.level
import ai.amusededge.sampling.GenerationOptions
import ai.amusededge.sampling.Step
import ai.amusededge.sampling.optionsOf
import ai.amusededge.sampling.readSettings
import ai.amusededge.sampling.settingsToJson
import ai.amusededge.bundle.Fields
import ai.amusededge.tasks.Inpainting
import ai.amusededge.tasks.PictureState
import ai.amusededge.tasks.Prompt
import ai.amusededge.tasks.Task
import ai.amusededge.tasks.TextToImage
import ai.amusededge.tasks.Variation
import java.io.File
import kotlin.math.abs

private const val MOST_NEAR = 0.1
private const val OTHER_CODES = 0.02
private const val CORNER = 4

/** Returns the folder of a recipe's bundle; null where it was not made. */
internal fun bundleOf(recipe: String): File? {
    val folder = if (recipe == "w8") DEMO else File(ROOT, "build/demo-$recipe")
    return folder.takeIf { File(it, "manifest.json").exists() }
}

/** How a set went: what the report says of it. */
internal class SetReport(
    val set: String,
    val status: String,
    val passed: Int,
    val cases: Int,
    val near: Int,
    val reason: String,
) {
    fun line(): String {
        val ties = if (near == 0) "" else " ($near near-tie${if (near > 1) "s" else ""})"
        return "$status $set $passed/$cases$ties${if (reason.isEmpty()) "" else ": $reason"}"
    }

    fun toJson(): Map<String, Any?> = mapOf(
        "set" to set, "status" to status, "passed" to passed, "cases" to cases, "near_ties" to near, "reason" to reason,
    )
}

/** Runs one set of the kit. */
internal fun reportOf(name: String, engine: Engine): SetReport {
    val set = VectorSet(name)
    val found = ArrayList<List<String>>()
    var near = 0
    if (name.startsWith("pictures-")) {
        val recipe = name.removePrefix("pictures-")
        val folder = bundleOf(recipe)
            ?: return SetReport(name, "SKIP", 0, set.cases.size, 0, "`make recipes` makes build/demo-$recipe")
        AmusedPipeline.open(folder, engine, PipelineOptions(keepGraphs = true)).use { pipeline ->
            for (case in set.cases) {
                val (lines, ties) = checkPicture(pipeline, set, case)
                found.add(lines)
                near += ties
            }
        }
    } else {
        val answer = answers(engine)[name] ?: return SetReport(name, "SKIP", 0, set.cases.size, 0, "no answer to it")
        set.cases.mapTo(found) { differencesOf(it, answer, set) }
    }
    val first = found.indexOfFirst { it.isNotEmpty() }
    val reason = if (first < 0) "" else "case $first: ${found[first][0]}"
    val status = if (first < 0) "PASS" else "FAIL"
    return SetReport(name, status, found.count { it.isEmpty() }, set.cases.size, near, reason)
}

internal fun differencesOf(case: VectorCase, answer: (Values) -> Map<String, Any?>, set: VectorSet): List<String> =
    differences(case.expect.map, answered(answer, case.given), set.tolerance)

/** Runs each step of a picture from what the vectors say of the one before; returns faults and near-ties. */
private fun checkPicture(pipeline: AmusedPipeline, set: VectorSet, case: VectorCase): Pair<List<String>, Int> {
    val task = taskOf(case.given)
    val start = case.expect.values("start")
    val begun = pipeline.begin(task, optionsFrom(case.given, pipeline)).single()
    val found = ArrayList(startDifferences(start, begun))
    val maskId = pipeline.manifest.geometry.maskTokenId
    var tokens = start.ints("tokens")
    var near = 0
    var decisions = 0
    for (step in case.expect.all("steps")) {
        val rows = tokens.indices.filter { tokens[it] == maskId }
        val state = PictureState(
            begun.parameters, step.int("step"), begun.gridHeight, begun.gridWidth, tokens, begun.probability,
            begun.startingMaskRatio,
        )
        val drawn = pipeline.resume(state, task).use { it.first() }
        near += stepDifferences(step, rows, drawn, set.tolerance.getValue("margins").double("absolute"), found)
        decisions += 2 * rows.size
        val kept = step.ints("kept").toSet()
        tokens = tokens.copyOf()
        val told = step.ints("drawn")
        rows.forEachIndexed { i, position -> tokens[position] = if (position in kept) told[i] else maskId }
    }
    if (near > MOST_NEAR * decisions) found.add("$near of $decisions decisions are near-ties that went otherwise")
    val image = pipeline.decode(tokens)
    case.expect.ints("corner").forEachIndexed { i, expected ->
        val seen = level(image.data, 3 * image.width * (i / (3 * CORNER)) + i % (3 * CORNER))
        if (abs(seen - expected) > set.tolerance.getValue("corner").double("absolute")) {
            found.add("corner[$i] is $seen, not $expected")
        }
    }
    return found to near
}

private fun taskOf(given: Values): Task {
    val prompt = listOf(Prompt.Text(given.text("prompt")))
    val negative = listOf(Prompt.Text(given.text("negative_prompt")))
    val picture = given.long("picture").toULong()
    if (given["kind"] == "text_to_image") return TextToImage(prompt, negative, firstPicture = picture)
    val image = listOf(imageOf(given.values("image")))
    val strength = given.double("strength")
    if (given["kind"] == "variation") {
        return Variation(prompt, image, strength, negativePrompts = negative, firstPicture = picture)
    }
    val mask = listOf(maskOf(given.values("mask")))
    return Inpainting(prompt, image, mask, strength, negativePrompts = negative, firstPicture = picture)
}

/** Options of the kit; what they leave open comes from the bundle, but for in-painting's schedule. */
private fun optionsFrom(given: Values, pipeline: AmusedPipeline): GenerationOptions {
    val seed = given.long("seed").toULong()
    val options = given.values("options").map
    val complete = settingsToJson(pipeline.manifest.sampler).mapValues { (_, value) ->
        if (value is Int) value.toBigInteger() else value
    }
    val whole = optionsOf(seed, readSettings(Fields(complete + options, "options")))
    return if ("schedule" in options) whole else whole.copy(schedule = null)
}

private fun startDifferences(expected: Values, found: PictureState): List<String> {
    val lines = ArrayList<String>()
    if (found.nextStep != expected.int("first_step")) lines.add("start.first_step is ${found.nextStep}")
    if (found.startingMaskRatio.toFloat() != expected.float("starting_mask_ratio")) {
        lines.add("start.starting_mask_ratio is ${found.startingMaskRatio}")
    }
    val tokens = expected.ints("tokens")
    val different = tokens.indices.count { tokens[it] != found.tokens[it] }
    if (different > OTHER_CODES * tokens.size) lines.add("start.tokens differs at $different positions")
    return lines
}

private fun stepDifferences(
    step: Values, rows: List<Int>, found: Step, nearest: Double, faults: MutableList<String>,
): Int {
    val name = "steps[${step.int("step")}]"
    val drawn = step.ints("drawn")
    val (drawMargins, keepMargins) = step.ints("draw_margins") to step.ints("keep_margins")
    val other = rows.indices.filter { found.predicted[0][rows[it]] != drawn[it] }
    other.filter { drawMargins[it] > nearest }
        .forEach { faults.add("$name draws another token at position ${rows[it]}") }
    val kept = step.ints("kept").toSet()
    val moved = rows.indices.filter { (rows[it] in kept) == found.mask[0][rows[it]] }
    val far = moved.filter { abs(keepMargins[it]) > nearest }
    if (far.size > 2 * other.size) faults.add("$name masks other positions: ${far.map { rows[it] }}")
    return other.size + moved.size
}
