package ai.amusededge.examples

import ai.amusededge.AmusedPipeline
import ai.amusededge.Cancellation
import ai.amusededge.pictures.RgbImage
import ai.amusededge.tasks.PictureState
import ai.amusededge.tasks.Task

/** Draws on from a saved state, or begins; saves after every step, and shows what there is. */
internal fun drawOn(
    pipeline: AmusedPipeline,
    prompt: String,
    saved: String?,
    save: (String) -> Unit,
    show: (RgbImage) -> Unit,
    cancellation: Cancellation,
): RgbImage {
    var state = saved?.let(PictureState::fromJson) ?: pipeline.begin(Task(prompt)).single()
    pipeline.resume(state, cancellation = cancellation).use { steps ->
        for (step in steps) {
            state = state.after(step)
            save(state.toJson())
            show(pipeline.preview(step, cancellation).single())
        }
    }
    return pipeline.finish(state).image
}
