package ai.amusededge.benchmark

import ai.amusededge.AmusedEdgeException
import ai.amusededge.AmusedPipeline
import ai.amusededge.Cancellation
import ai.amusededge.CancelledException
import ai.amusededge.GoldenReport
import ai.amusededge.OptionsException
import ai.amusededge.PipelineOptions
import ai.amusededge.bundle.Bundle
import ai.amusededge.engines.Engine
import ai.amusededge.sampling.GenerationOptions
import ai.amusededge.wholeNumber
import java.io.File

/** Steps of the first picture of a turn, and calls of each stage, that do not count. */
private const val WARM_UP_STEPS = 2
private const val WARM_UP_CALLS = 2

/**
 * A bundle with an engine.
 *
 * @property label its name in tables; no two of a run are alike
 * @property engineOptions what of the engine is not its default, for the results
 */
public class Subject(
    public val label: String,
    public val folder: File,
    public val engine: Engine,
    public val engineOptions: Map<String, String> = mapOf(),
)

/**
 * What is measured.
 *
 * @property options of the pictures; what they leave open comes from the first bundle
 * @property rounds how often each subject has a turn; 5 or more give ratios worth the name
 * @property pictures whole pictures in a turn, after a short one of two steps; [calls] of each stage, after two
 * @property threads of the engines, for the results; null leaves it to the engine
 */
public class BenchmarkOptions(
    public val prompt: String = "a red fox in the snow",
    public val options: GenerationOptions = GenerationOptions(),
    public val rounds: Int = 5,
    public val pictures: Int = 1,
    public val calls: Int = 5,
    public val threads: Int? = null,
) {
    init {
        wholeNumber("rounds", rounds, 1)
        wholeNumber("pictures", pictures, 1)
        wholeNumber("calls", calls, 1)
    }
}

/**
 * Measures bundles on the device that it runs on, and writes what `amused-edge bench import` reads: the `results.json`
 * of `amused-edge bench latency`, with the golden check of each bundle and every picture's time and heat.
 *
 * In each round every subject has a turn before any has the next round's, so that what changes on the device changes
 * for all; who begins goes round, too. A subject that fails is told of, and has no turn again.
 */
public class DeviceBenchmark(
    private val subjects: List<Subject>,
    private val options: BenchmarkOptions,
    private val device: Device,
    private val probe: Probe,
) {
    private val bundles: Map<Subject, Bundle>
    private val records = Records(subjects.map { it.label })
    private val settings: GenerationOptions

    init {
        if (subjects.isEmpty() || subjects.map { it.label }.toSet().size != subjects.size) {
            throw OptionsException("give one bundle or more to measure, each with a label of its own")
        }
        bundles = subjects.associateWith { Bundle.open(it.folder) }
        val complete = options.options.settings(bundles.getValue(subjects[0]).manifest.sampler)
        settings = ai.amusededge.sampling.optionsOf(options.options.seed, complete)
    }

    /**
     * Measures all of it; it takes minutes, and the device should be left alone, unplugged, its screen on.
     *
     * @param made when, as ISO 8601 writes it, for example `2026-11-29T05:22:58+00:00`
     * @param onTurn told before each turn: its subject's label, and how many of how many turns are done
     * @return the text of `results.json`
     * @throws CancelledException through [cancellation]; nothing is kept then
     * @throws OptionsException nothing could be measured, and why
     */
    public fun run(
        made: String,
        cancellation: Cancellation? = null,
        onTurn: (label: String, done: Int, of: Int) -> Unit = { _, _, _ -> },
    ): String {
        val begin = probe.seconds()
        val total = subjects.size * options.rounds
        for (turn in 0 until total) {
            val round = turn / subjects.size
            val subject = subjects[(turn + round) % subjects.size]
            if (records.hasFailed(subject.label)) continue
            onTurn(subject.label, turn, total)
            System.gc() // so that no turn has the last one's garbage in its memory
            try {
                take(subject, round, begin, cancellation)
            } catch (error: CancelledException) {
                throw error
            } catch (error: AmusedEdgeException) {
                records.fail(subject.label, error.message ?: error.javaClass.simpleName)
            }
        }
        records.requireSome()
        return resultsOf(made, device, options, settings, bundles, records)
    }

    private fun take(subject: Subject, round: Int, begin: Double, cancellation: Cancellation?) {
        // a prompt is as costly each time
        val held = PipelineOptions(keepGraphs = true, rememberedPrompts = 0, verify = round == 0)
        AmusedPipeline.open(subject.folder, subject.engine, held, cancellation).use { pipeline ->
            fun time(part: String, work: () -> Unit) {
                cancellation?.check()
                val took = MemoryWatch(probe) { records.see(subject.label, it) }.use { seconds(work) }
                records.add(subject.label, part, round, took)
            }
            time(LOAD) { pipeline.loadGraphs() }
            records.hold(subject.label, probe.memory())
            time(FIRST) { draw(pipeline, settings.copy(steps = WARM_UP_STEPS), cancellation) }
            repeat(options.pictures) {
                val at = probe.seconds() - begin
                val heat = probe.thermal() to probe.celsius()
                time(PICTURE) { draw(pipeline, settings, cancellation) }
                records.course(subject.label, round, at, heat.first, heat.second)
            }
            for ((name, call) in pipeline.stages(options.prompt, settings)) {
                repeat(WARM_UP_CALLS) { call() }
                repeat(options.calls) { time(name, call) }
            }
            if (round == 0) records.golden(subject.label, pipeline.checkGolden(cancellation))
        }
    }

    private fun draw(pipeline: AmusedPipeline, options: GenerationOptions, cancellation: Cancellation?) {
        pipeline.generate(this.options.prompt, options, cancellation)
    }

    private fun seconds(work: () -> Unit): Double {
        val start = probe.seconds()
        work()
        return probe.seconds() - start
    }
}

/** Says in a few lines for a screen what a golden check found. */
public fun GoldenReport.told(): String =
    (if (isReproduced) "computes the bundle" else "does NOT compute the bundle") +
        ": ids ${if (sameIds) "equal" else "differ"}, logits off by %.2g, pixels by %d, %.1f %% of the tokens equal"
            .format(logitError, pixelError, 100 * equalTokens)
