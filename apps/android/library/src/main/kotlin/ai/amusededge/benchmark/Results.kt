package ai.amusededge.benchmark

import ai.amusededge.GoldenReport
import ai.amusededge.OptionsException
import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.dumpJson
import ai.amusededge.sampling.GenerationOptions
import ai.amusededge.sampling.settingsToJson
import java.math.BigInteger

internal const val LOAD = "load"
internal const val FIRST = "first picture"
internal const val PICTURE = "picture"

/** What was measured so far. */
internal class Records(private val labels: List<String>) {
    /** Label -> part -> round -> seconds. */
    val seconds = labels.associateWith { LinkedHashMap<String, MutableMap<Int, MutableList<Double>>>() }
    val held = HashMap<String, Memory>()
    val peaks = HashMap<String, Memory>()
    val failures = LinkedHashMap<String, String>()
    val golden = LinkedHashMap<String, GoldenReport>()
    val course = ArrayList<Map<String, Any?>>()

    fun add(label: String, part: String, round: Int, value: Double) {
        seconds.getValue(label).getOrPut(part) { LinkedHashMap() }.getOrPut(round) { ArrayList() }.add(value)
    }

    /** Adds the picture that was timed last. */
    fun course(label: String, round: Int, at: Double, thermal: String, celsius: Double?) {
        val took = seconds.getValue(label).getValue(PICTURE).getValue(round).last()
        course += mapOf(
            "label" to label, "round" to round, "at" to at, "seconds" to took, "thermal" to thermal,
            "celsius" to celsius,
        )
    }

    fun hold(label: String, memory: Memory?) {
        if (memory != null) held[label] = largest(held[label], memory)
    }

    @Synchronized // called by the thread that watches the memory
    fun see(label: String, memory: Memory?) {
        if (memory != null) peaks[label] = largest(peaks[label], memory)
    }

    fun golden(label: String, report: GoldenReport) {
        golden[label] = report
    }

    fun fail(label: String, reason: String) {
        failures[label] = reason
    }

    fun hasFailed(label: String): Boolean = label in failures

    fun requireSome() {
        if (seconds.values.none { PICTURE in it }) {
            throw OptionsException("nothing could be measured; ${labels[0]}: ${failures[labels[0]]}")
        }
    }

    private fun largest(one: Memory?, other: Memory): Memory = if (one == null) other else Memory(
        maxOf(one.total, other.total),
        listOfNotNull(one.anonymous, other.anonymous).maxOrNull(),
        listOfNotNull(one.fileBacked, other.fileBacked).maxOrNull(),
    )
}

/** Returns the text of `results.json`; benchmarks/device/results.schema.json is its form. */
internal fun resultsOf(
    made: String,
    device: Device,
    options: BenchmarkOptions,
    settings: GenerationOptions,
    bundles: Map<Subject, Bundle>,
    records: Records,
): String {
    val complete = settings.settings(bundles.values.first().manifest.sampler)
    val results = mapOf(
        "schema_version" to 1, "format" to "amused-edge benchmark", "kind" to "latency", "made" to made,
        "load_average_before" to null, "rounds" to options.rounds, "command" to "latency",
        "environment" to mapOf(
            "device" to device.name, "runtime" to device.runtime, "cpu" to device.cpu, "cores" to device.cores,
            "memory" to device.memory, "system" to device.system, "packages" to device.packages,
        ),
        "subjects" to bundles.map { (subject, bundle) -> described(subject, bundle) },
        "prompt" to options.prompt, "seed" to BigInteger(settings.seed.toString()),
        "settings" to listOf(settingsToJson(complete)),
        "threads" to listOf(options.threads), "batches" to listOf(1),
        "pictures" to options.pictures, "calls" to options.calls,
        "timings" to timings(options, complete.steps, complete.guidanceScale, records),
        "footprints" to records.held.map { (label, memory) ->
            kind(label, options) + mapOf("loaded" to told(memory), "peak" to told(records.peaks.getValue(label)))
        },
        "failures" to records.failures.map { (label, reason) -> kind(label, options) + ("reason" to reason) },
        "golden" to records.golden.map { (label, report) ->
            mapOf(
                "label" to label, "same_ids" to report.sameIds, "logit_error" to report.logitError,
                "equal_tokens" to report.equalTokens, "pixel_error" to report.pixelError,
                "reproduced" to report.isReproduced,
            )
        },
        "course" to records.course,
    )
    return dumpJson(results) + "\n"
}

private fun described(subject: Subject, bundle: Bundle): Map<String, Any?> = mapOf(
    "label" to subject.label,
    "kind" to "bundle",
    "model" to bundle.manifest.model.name,
    "target" to bundle.manifest.target,
    "recipe" to bundle.manifest.recipe,
    "manifest_sha256" to bundle.sha256,
    "bytes" to bundle.manifest.graphs.mapValues { (_, graph) -> graph.files.sumOf { it.bytes } },
    "engine" to subject.engineOptions,
)

private fun timings(options: BenchmarkOptions, steps: Int, guidance: Double, records: Records): List<Any> {
    val baseline = records.seconds.values.first()
    return records.seconds.flatMap { (label, parts) ->
        parts.map { (part, rounds) ->
            val isPicture = part == PICTURE
            val medians = rounds.mapValues { median(it.value) }
            kind(label, options) + mapOf(
                "part" to part,
                "cold" to false,
                "steps" to steps.takeIf { isPicture },
                "guidance_scale" to guidance.takeIf { isPicture },
                "seconds" to summary(rounds.values.flatten()),
                "rounds" to medians.values.toList(),
                "ratio" to ratioOf(medians, baseline[part].orEmpty().mapValues { median(it.value) }),
            )
        }
    }
}

private fun kind(label: String, options: BenchmarkOptions): Map<String, Any?> =
    mapOf("label" to label, "threads" to options.threads, "batch" to 1)

private fun told(memory: Memory): Map<String, Any?> =
    mapOf("total" to memory.total, "anonymous" to memory.anonymous, "file_backed" to memory.fileBacked)
