package ai.amusededge

import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.GOLDEN_NAME
import ai.amusededge.bundle.Golden
import ai.amusededge.bundle.Manifest
import ai.amusededge.bundle.Role
import ai.amusededge.bundle.TOKENIZER_NAME
import ai.amusededge.bundle.readGolden
import ai.amusededge.drawing.Drawing
import ai.amusededge.drawing.PromptConditioner
import ai.amusededge.drawing.PromptTokenizer
import ai.amusededge.drawing.Steps
import ai.amusededge.drawing.TaskDrawing
import ai.amusededge.engines.Engine
import ai.amusededge.engines.GraphStore
import ai.amusededge.engines.loadGraph
import ai.amusededge.pictures.RgbImage
import ai.amusededge.sampling.GenerationOptions
import ai.amusededge.sampling.SamplerSettings
import ai.amusededge.sampling.Schedule
import ai.amusededge.sampling.Step
import ai.amusededge.sampling.Workers
import ai.amusededge.tasks.Inpainting
import ai.amusededge.tasks.Picture
import ai.amusededge.tasks.PictureState
import ai.amusededge.tasks.Prompt
import ai.amusededge.tasks.Task
import java.io.File

/** Threads beyond which a sampler's step is no shorter. */
private const val MOST_SAMPLER_THREADS = 4

/**
 * How a pipeline holds its bundle.
 *
 * @property keepGraphs keep each graph once it is loaded, which is faster, instead of loading it just before use and
 * dropping it just after (the default): then one graph is in memory at a time
 * @property rememberedPrompts conditionings that are kept, of the prompts used last; with guidance a picture has two
 * @property samplerThreads threads that draw the tokens of a step; the engine's are its own option
 * @property verify check every file's hash when a bundle is opened, which reads all of them; false where the app
 * verified the bundle after its download (see [Bundle.verify]) and keeps it where nothing else writes
 * @property onWarning told what was done otherwise than a caller may think, as that a prompt was cut
 */
public class PipelineOptions(
    public val keepGraphs: Boolean = false,
    public val rememberedPrompts: Int = 1,
    public val samplerThreads: Int = minOf(MOST_SAMPLER_THREADS, Runtime.getRuntime().availableProcessors()),
    public val verify: Boolean = true,
    public val onWarning: (String) -> Unit = {},
) {
    init {
        wholeNumber("rememberedPrompts", rememberedPrompts, 0)
        wholeNumber("samplerThreads", samplerThreads, 1, 64)
    }
}

/** Called after each step of each picture, with the picture's place in the result; what it throws ends the run. */
public fun interface OnStep {
    public fun onStep(picture: Int, step: Step)
}

/**
 * Draws pictures from a bundle. Graphs are loaded at first use.
 *
 * Several threads may use one pipeline: each graph is called by one after the other. Calls block; call from a thread of
 * your own, and stop with a [Cancellation].
 */
public class AmusedPipeline private constructor(
    private val bundle: Bundle,
    private val tokenizer: PromptTokenizer,
    engine: Engine,
    options: PipelineOptions,
) : AutoCloseable {
    private val graphs = GraphStore(options.keepGraphs) { role -> loadGraph(engine, bundle, role) }
    private val workers = Workers(options.samplerThreads)
    private val conditioner = PromptConditioner(tokenizer, graphs, options.rememberedPrompts, options.onWarning)
    private val drawing = Drawing(bundle, graphs, conditioner, workers, options.onWarning)
    private val tasks = TaskDrawing(drawing, graphs)

    /** What the bundle is. */
    public val manifest: Manifest get() = bundle.manifest

    /** Hash of the manifest, which holds the hashes of all other files: the bundle's identity. */
    public val bundleSha256: String get() = bundle.sha256

    /** Waits for calls of graphs that run, then releases everything; the pipeline cannot draw any more. */
    override fun close() {
        graphs.close()
        drawing.close()
        workers.close()
    }

    // --- Whole pictures.

    /** Draws a prompt, see the other [generate]. */
    public fun generate(
        prompt: String,
        options: GenerationOptions = GenerationOptions(),
        cancellation: Cancellation? = null,
        onStep: OnStep? = null,
    ): Picture = generate(Task(prompt), options, cancellation, onStep).single()

    /**
     * Draws all pictures of a task, one after the other. Of several pictures of a prompt the denoiser draws up to 16
     * before they are decoded, where one graph is in memory at a time.
     *
     * @throws OptionsException the bundle cannot draw that
     * @throws CancelledException through [cancellation], between two calls of a graph
     * @throws GraphException the engine failed, or the pipeline was closed
     * @throws GenerationException the denoiser returned what is no number
     */
    public fun generate(
        task: Task,
        options: GenerationOptions = GenerationOptions(),
        cancellation: Cancellation? = null,
        onStep: OnStep? = null,
    ): List<Picture> {
        drawing.checkTask(task)
        return tasks.pictures(task, options.seed, settings(options, task), cancellation, onStep)
    }

    /**
     * Decodes a finished state, and pastes the untouched pixels back where its task asks for it.
     *
     * @param task the one that the picture was begun with; needed where that has pictures or embeddings
     * @throws StateException the state is of another bundle or task, or has steps to go
     */
    public fun finish(state: PictureState, task: Task? = null, cancellation: Cancellation? = null): Picture {
        drawing.checkState(state)
        if (!state.isFinished) {
            val left = state.parameters.settings.steps - state.nextStep
            throw StateException("the picture has $left steps to go; resume it first")
        }
        return drawing.finish(state, restored(state, task), cancellation)
    }

    // --- Step by step.

    /** Returns the steps of all pictures of a task side by side; stop whenever you like. */
    public fun stream(
        task: Task,
        options: GenerationOptions = GenerationOptions(),
        cancellation: Cancellation? = null,
    ): Steps {
        drawing.checkTask(task)
        return tasks.steps(task, options.seed, settings(options, task), cancellation)
    }

    /** Returns the state from which each picture of a task starts. With [PictureState.after] it follows the steps. */
    public fun begin(
        task: Task,
        options: GenerationOptions = GenerationOptions(),
        cancellation: Cancellation? = null,
    ): List<PictureState> {
        drawing.checkTask(task)
        return tasks.begin(task, options.seed, settings(options, task), cancellation)
    }

    /**
     * Returns the steps that a picture still needs: the same ones as without interruption, wherever it was begun.
     *
     * @param task the one that the picture was begun with; needed where that has pictures or embeddings
     * @throws StateException the state is of another bundle or task
     */
    public fun resume(state: PictureState, task: Task? = null, cancellation: Cancellation? = null): Steps {
        drawing.checkState(state)
        return tasks.resume(state, restored(state, task), cancellation)
    }

    /** Returns what the pictures of a step would be if they were left as they are. */
    public fun preview(step: Step, cancellation: Cancellation? = null): List<RgbImage> =
        graphs.use(Role.IMAGE_DECODER) { step.predicted.map { drawing.decode(it, cancellation) } }

    // --- Parts.

    /** Returns the options with what they leave open filled in from the bundle; in-painting's schedule is linear. */
    public fun settings(options: GenerationOptions = GenerationOptions(), task: Task? = null): SamplerSettings {
        val settings = options.settings(manifest.sampler)
        val isLinear = task is Inpainting && options.schedule == null
        return if (isLinear) settings.copy(schedule = Schedule.LINEAR) else settings
    }

    /** Turns finished tokens (h * w) into a picture. */
    public fun decode(tokens: IntArray, cancellation: Cancellation? = null): RgbImage =
        drawing.decode(tokens, cancellation)

    /** Turns a picture of the bundle's size into tokens (h * w). */
    public fun encode(image: RgbImage, cancellation: Cancellation? = null): IntArray =
        drawing.encode(image, cancellation)

    /** Returns what the text encoder says of a prompt; it can be given in the prompt's place. */
    public fun embed(prompt: String, cancellation: Cancellation? = null): Prompt.Embeddings {
        val encoded = conditioner.encodeText(prompt, cancellation)
        val hidden = encoded.getValue("hidden_states")
        return Prompt.Embeddings(hidden.floats(), hidden.shape[1], encoded.getValue("pooled").floats())
    }

    /** Returns the ids that the text encoder reads of a prompt: start, text cut to fit, end, padding. */
    public fun idsOf(prompt: String): IntArray = tokenizer.encode(prompt).ids

    /** Draws the bundle's golden picture and compares: whether this engine computes the bundle. */
    public fun checkGolden(cancellation: Cancellation? = null): GoldenReport {
        val golden = readGolden(bundle.text(GOLDEN_NAME))
        checkTokens(golden)
        val drawn = generate(golden.prompt, cancellation = cancellation)
        val logits = drawing.firstLogits(golden.prompt, cancellation)
        return compareGolden(golden, idsOf(golden.prompt), logits, drawn.tokens, decode(golden.tokens, cancellation))
    }

    /** Loads all that text to image needs, where graphs stay. */
    internal fun loadGraphs() {
        for (role in Role.values().filter { it != Role.IMAGE_ENCODER }) graphs.use(role) {}
    }

    /** Returns the parts of drawing by name, each to be called again and again, for benchmarks. */
    internal fun stages(prompt: String, options: GenerationOptions): Map<String, () -> Unit> =
        drawing.stages(prompt, settings(options), tokenizer)

    private fun checkTokens(golden: Golden) {
        val geometry = manifest.geometry
        if (golden.tokens.size != geometry.positions || golden.tokens.any { it !in 0 until geometry.codebookSize }) {
            throw BundleException("golden.json holds tokens that are no picture of this bundle; copy the bundle again")
        }
    }

    private fun restored(state: PictureState, task: Task?): Task =
        if (task == null) state.parameters.restore() else state.parameters.given(task)

    public companion object {
        /**
         * Opens a bundle for drawing: reads and checks its manifest, its files with their hashes, and its tokenizer.
         *
         * @param folder real files, as the engine opens them by their paths
         * @throws BundleException it is incomplete or damaged
         * @throws CancelledException through [cancellation], while the hashes are taken
         */
        public fun open(
            folder: File,
            engine: Engine,
            options: PipelineOptions = PipelineOptions(),
            cancellation: Cancellation? = null,
        ): AmusedPipeline {
            val bundle = Bundle.open(folder)
            if (options.verify) bundle.verify(cancellation)
            val tokenizer = PromptTokenizer(bundle.text(TOKENIZER_NAME), bundle.manifest.geometry.textLength)
            return AmusedPipeline(bundle, tokenizer, engine, options)
        }
    }
}
