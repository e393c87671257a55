package ai.amusededge.drawing

import ai.amusededge.Cancellation
import ai.amusededge.OptionsException
import ai.amusededge.StateException
import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.Dimension
import ai.amusededge.bundle.Geometry
import ai.amusededge.bundle.Role
import ai.amusededge.engines.GraphStore
import ai.amusededge.pictures.RgbImage
import ai.amusededge.quoted
import ai.amusededge.sampling.Drawn
import ai.amusededge.sampling.LoopRules
import ai.amusededge.sampling.LoopState
import ai.amusededge.sampling.SamplerSettings
import ai.amusededge.sampling.Step
import ai.amusededge.sampling.StepDrawer
import ai.amusededge.sampling.Workers
import ai.amusededge.tasks.Picture
import ai.amusededge.tasks.PictureParameters
import ai.amusededge.tasks.PictureState
import ai.amusededge.tasks.Prompt
import ai.amusededge.tasks.Task
import ai.amusededge.tasks.recordOf

/** How a bundle's graphs draw a picture: its start, its steps, its pixels. For several threads. */
internal class Drawing(
    private val bundle: Bundle,
    private val graphs: GraphStore,
    private val conditioner: PromptConditioner,
    private val workers: Workers,
    warn: (String) -> Unit,
) : AutoCloseable {
    private val geometry: Geometry = bundle.manifest.geometry
    private val canvas = Canvas(geometry, warn)

    /** Returns the first state of the task of one picture. */
    fun begin(task: Task, seed: ULong, settings: SamplerSettings, cancellation: Cancellation?): PictureState {
        val start = canvas.begin(task, seed.toLong(), settings) { encode(it, cancellation) }
        return PictureState(
            PictureParameters(bundle.manifest.model.name, bundle.sha256, recordOf(task), seed, settings),
            start.firstStep, geometry.gridHeight, geometry.gridWidth, start.tokens,
            FloatArray(start.tokens.size) { 1f }, start.startingMaskRatio.toDouble(),
        )
    }

    /**
     * Runs pictures side by side; each makes calls of the denoiser of its own (one for a guidance pair). Their seed and
     * settings are the first one's.
     *
     * @param conditionings of each picture; asked for when the first step is
     */
    fun steps(states: List<PictureState>, cancellation: Cancellation?, conditionings: () -> List<Tensors>): Steps =
        Steps {
            cancellation?.check()
            if (states.all { it.isFinished }) null else Run(states, conditionings(), cancellation)
        }

    private inner class Run(
        begun: List<PictureState>,
        private val conditionings: List<Tensors>,
        private val cancellation: Cancellation?,
    ) : Steps.Run {
        private val settings = begun[0].parameters.settings
        private val drawer = StepDrawer(rulesOf(begun[0].parameters.seed, settings), workers)
        private val states = begun.map {
            val ratio = it.startingMaskRatio.toFloat()
            LoopState(it.tokens, it.probability, it.parameters.picture.toLong(), ratio)
        }.toMutableList()
        private var index = begun.minOf { it.nextStep }
        private var closed = false
        private val graph = graphs.acquire(Role.DENOISER)
        private val denoiser = try {
            Denoiser(graph, geometry, conditionings[0].values.first().shape[0])
        } catch (error: Throwable) {
            close()
            throw error
        }

        override fun next(): Step? {
            if (index == settings.steps) return null
            val drawn = states.indices.map(::draw)
            return stepOf(index++, settings.steps, drawn)
        }

        private fun draw(place: Int): Drawn {
            val state = states[place]
            val known = state.tokens.none { it == geometry.maskTokenId }
            cancellation?.check()
            val logits = if (known) null
            else denoiser.logitsOf(state.tokens, conditionings[place], settings.guidanceAt(index))
            cancellation?.check()
            val drawn = drawer.draw(logits, state, index)
            states[place] = LoopState(drawn.tokens, drawn.probability, state.picture, state.startingMaskRatio)
            return drawn
        }

        override fun close() {
            if (!closed) graphs.release(Role.DENOISER)
            closed = true
        }
    }

    /** Returns the picture of a finished state. */
    fun finish(state: PictureState, task: Task, cancellation: Cancellation?): Picture {
        val image = canvas.finish(task) { decode(state.tokens, cancellation) }
        return Picture(image, state.tokens, state.probability, task.prompts[0], state.parameters)
    }

    /** Returns the conditioning of [negative prompt, prompt] with guidance, else of the prompt alone. */
    fun conditioning(task: Task, settings: SamplerSettings, cancellation: Cancellation?): Tensors {
        val micro = microConditions(geometry, task.microConditioning ?: bundle.manifest.microConditioning)
        val prompts = listOfNotNull(task.negativePrompts[0].takeIf { settings.isGuided }, task.prompts[0])
        return stack(conditioner.condition(prompts, micro, cancellation))
    }

    /** Returns the unguided logits of the grid's first token where every token is masked. */
    fun firstLogits(prompt: String, cancellation: Cancellation?): FloatArray {
        val unguided = bundle.manifest.sampler.copy(guidanceScale = 1.0)
        val conditioning = conditioning(Task(prompt), unguided, cancellation)
        val row = FloatArray(geometry.codebookSize)
        graphs.use(Role.DENOISER) { graph ->
            val masked = IntArray(geometry.positions) { geometry.maskTokenId }
            Denoiser(graph, geometry, 1).logitsOf(masked, conditioning, 1.0).read(0, row, row)
        }
        return row
    }

    /** Returns the parts of drawing a prompt, each ready to be called again and again; see benchmarks. */
    fun stages(prompt: String, settings: SamplerSettings, tokenizer: PromptTokenizer): Map<String, () -> Unit> {
        val task = Task(prompt)
        val micro = microConditions(geometry, bundle.manifest.microConditioning)
        val conditioning = conditioning(task, settings, null)
        val masked = IntArray(geometry.positions) { geometry.maskTokenId }
        val rows = conditioning.values.first().shape[0]
        val denoiser = graphs.use(Role.DENOISER) { Denoiser(it, geometry, rows) }
        val scale = if (settings.isGuided) settings.guidanceScale else 1.0
        val logits = denoiser.logitsOf(masked, conditioning, scale)
        val drawer = StepDrawer(rulesOf(0uL, settings), workers)
        val state = LoopState(masked, FloatArray(masked.size) { 1f }, 0, 1f)
        val encoded = conditioner.encodeText(prompt, null)
        val ids = tokenizer.encode(prompt).ids
        return mapOf(
            Role.TEXT_ENCODER.id to {
                graphs.use(Role.TEXT_ENCODER) { it.run(mapOf("input_ids" to it.input("input_ids", 1).put(ids))) }
            },
            Role.CONDITIONER.id to {
                graphs.use(Role.CONDITIONER) {
                    val conditions = it.input("micro_conditions", 1).put(micro.toFloatArray())
                    it.run(encoded + ("micro_conditions" to conditions))
                }
            },
            Role.DENOISER.id to { denoiser.logitsOf(masked, conditioning, scale) },
            "sampler" to { drawer.draw(logits, state, 0) },
            Role.IMAGE_DECODER.id to { decode(IntArray(masked.size), null) },
        )
    }

    /** Turns a picture of the bundle's size into tokens. */
    fun encode(image: RgbImage, cancellation: Cancellation?): IntArray {
        if (image.width != geometry.imageWidth || image.height != geometry.imageHeight) {
            throw OptionsException(
                "the picture has ${image.width}x${image.height} pixels; the bundle takes " +
                    "${geometry.imageWidth}x${geometry.imageHeight}",
            )
        }
        return graphs.use(Role.IMAGE_ENCODER) { encoder ->
            cancellation?.check()
            encoder.run(mapOf("image" to encoder.input("image", 1).put(image.data))).getValue("tokens").ints()
        }
    }

    /** Turns finished tokens into a picture. */
    fun decode(tokens: IntArray, cancellation: Cancellation?): RgbImage {
        if (tokens.size != geometry.positions) {
            throw OptionsException(
                "there are ${tokens.size} tokens; give ${geometry.gridHeight}x${geometry.gridWidth}, row by row",
            )
        }
        tokens.firstOrNull { it !in 0 until geometry.codebookSize }?.let {
            throw OptionsException(
                "a token is $it; the codebook has 0 to ${geometry.codebookSize - 1} (is the picture finished?)",
            )
        }
        return graphs.use(Role.IMAGE_DECODER) { decoder ->
            cancellation?.check()
            val image = decoder.run(mapOf("tokens" to decoder.input("tokens", 1).put(tokens))).getValue("image")
            RgbImage(geometry.imageWidth, geometry.imageHeight, image.bytes())
        }
    }

    /** Throws `OptionsException` for what this bundle cannot draw, before any graph is loaded. */
    fun checkTask(task: Task) {
        canvas.check(task)
        val sizes = bundle.graph(Role.CONDITIONER).inputs.associate { spec ->
            spec.name to spec.shape.drop(1).map { (it as? Dimension.Fixed)?.size }
        }
        for (prompt in (task.prompts + task.negativePrompts).filterIsInstance<Prompt.Embeddings>()) {
            val given = mapOf(
                "hidden_states" to listOf(prompt.textLength, prompt.width), "pooled" to listOf(prompt.pooled.size),
            )
            for ((name, shape) in given) {
                if (shape != sizes[name]) {
                    throw OptionsException(
                        "$name of prompt embeddings have shape ${quoted(shape)}; this bundle takes " +
                            quoted(sizes[name]),
                    )
                }
            }
        }
    }

    /** Throws `StateException` if a state cannot have come from this bundle. */
    fun checkState(state: PictureState) {
        val parameters = state.parameters
        if (parameters.bundleSha256 != bundle.sha256) {
            throw StateException(
                "the state is of the bundle ${quoted(parameters.bundleName)} with hash " +
                    "${quoted(parameters.bundleSha256.take(12))}, this one has ${bundle.sha256.take(12)}; use the same",
            )
        }
        val known = state.tokens.filter { it != geometry.maskTokenId }
        val fits = state.gridHeight == geometry.gridHeight && state.gridWidth == geometry.gridWidth
        if (!fits || known.any { it !in 0 until geometry.codebookSize }) {
            throw StateException("the state holds tokens that the bundle does not have; begin the picture again")
        }
        if (state.isFinished && known.size < state.tokens.size) {
            throw StateException("the state is finished and has tokens that are masked; begin the picture again")
        }
    }

    /** Drops what is remembered of prompts and pictures, and remembers nothing more. */
    override fun close() {
        conditioner.close()
        canvas.close()
    }

    private fun rulesOf(seed: ULong, settings: SamplerSettings) = LoopRules(
        seed.toLong(), settings, geometry.gridHeight, geometry.gridWidth, geometry.codebookSize, geometry.maskTokenId,
    )
}

/** Returns what callers see of a step; the loop goes on with arrays of its own. */
private fun stepOf(index: Int, steps: Int, drawn: List<Drawn>) = Step(
    index,
    steps,
    drawn.map { it.tokens.copyOf() },
    drawn.map { it.predicted },
    drawn.map { it.mask },
    drawn.map { it.confidence },
    drawn.map { it.probability.copyOf() },
)
