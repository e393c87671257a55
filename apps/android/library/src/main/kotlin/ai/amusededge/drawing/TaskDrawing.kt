package ai.amusededge.drawing

import ai.amusededge.Cancellation
import ai.amusededge.OnStep
import ai.amusededge.bundle.Role
import ai.amusededge.engines.GraphStore
import ai.amusededge.sampling.SamplerSettings
import ai.amusededge.tasks.Picture
import ai.amusededge.tasks.PictureState
import ai.amusededge.tasks.Place
import ai.amusededge.tasks.Task

/** Pictures of a prompt that are drawn before they are decoded, where one graph is loaded at a time. */
private const val LOW_MEMORY_BATCH = 16

/** All pictures of a task: one after the other in batches that memory allows, or their steps side by side. */
internal class TaskDrawing(private val drawing: Drawing, private val graphs: GraphStore) {
    /** Returns the state from which each picture of a task starts. */
    fun begin(task: Task, seed: ULong, settings: SamplerSettings, cancellation: Cancellation?): List<PictureState> =
        task.places.map { drawing.begin(task.single(it), seed, settings, cancellation) }

    /** Returns all pictures, one after the other; where one graph is loaded at a time, a batch is drawn together. */
    fun pictures(
        task: Task, seed: ULong, settings: SamplerSettings, cancellation: Cancellation?, onStep: OnStep?,
    ): List<Picture> {
        val drawn = ArrayList<Picture>()
        for (batch in batches(task.places, if (graphs.graphsStay) 1 else LOW_MEMORY_BATCH)) {
            val alone = batch.map(task::single)
            val states = finished(alone, seed, settings, cancellation) { place, step ->
                onStep?.onStep(drawn.size + place, step)
            }
            graphs.use(Role.IMAGE_DECODER) { // the denoiser has gone, where one graph is loaded at a time
                states.zip(alone).mapTo(drawn) { (state, one) -> drawing.finish(state, one, cancellation) }
            }
        }
        return drawn
    }

    /** Returns the steps of all pictures side by side. */
    fun steps(task: Task, seed: ULong, settings: SamplerSettings, cancellation: Cancellation?): Steps =
        drawing.steps(begin(task, seed, settings, cancellation), cancellation) {
            val ofPrompt = HashMap<Int, Tensors>()
            task.places.map { place ->
                ofPrompt.getOrPut(place.prompt) { drawing.conditioning(task.single(place), settings, cancellation) }
            }
        }

    /** Returns the steps that one picture still needs. */
    fun resume(state: PictureState, task: Task, cancellation: Cancellation?): Steps =
        drawing.steps(listOf(state), cancellation) {
            listOf(drawing.conditioning(task, state.parameters.settings, cancellation))
        }

    /** Draws pictures of one prompt one after the other, and returns their finished states. */
    private fun finished(
        tasks: List<Task>, seed: ULong, settings: SamplerSettings, cancellation: Cancellation?, onStep: OnStep,
    ): List<PictureState> {
        val states = tasks.map { drawing.begin(it, seed, settings, cancellation) }
        if (states[0].isFinished) return states
        val conditioning = drawing.conditioning(tasks[0], settings, cancellation)
        return graphs.use(Role.DENOISER) { // for all of them
            states.mapIndexed { place, begun ->
                var state = begun
                drawing.steps(listOf(begun), cancellation) { listOf(conditioning) }.use { steps ->
                    for (step in steps) {
                        state = state.after(step)
                        onStep.onStep(place, step)
                    }
                }
                state
            }
        }
    }
}

/** Splits pictures by prompt and into at most so many. */
private fun batches(places: List<Place>, most: Int): List<List<Place>> =
    places.groupBy { it.prompt }.values.flatMap { it.chunked(most) }
