package ai.amusededge.drawing

import ai.amusededge.bundle.Geometry
import ai.amusededge.pictures.Fit
import ai.amusededge.pictures.RgbImage
import ai.amusededge.pictures.checkProportions
import ai.amusededge.pictures.fitted
import ai.amusededge.pictures.pasteBack
import ai.amusededge.pictures.pixelMask
import ai.amusededge.pictures.tokenMask
import ai.amusededge.sampling.SamplerSettings
import ai.amusededge.tasks.FromPictures
import ai.amusededge.tasks.Inpainting
import ai.amusededge.tasks.Task
import ai.amusededge.tasks.TextToImage
import ai.amusededge.tasks.Variation

/** What a task's own picture means for a bundle: the tokens that a run starts from, the pixels put back at its end. */
internal class Canvas(private val geometry: Geometry, private val warn: (String) -> Unit) : AutoCloseable {
    private val known = Remembered<String, IntArray>(1) // the pictures of a task share their image

    /** Returns where the task of one picture starts; warns if there is nothing to draw. */
    fun begin(task: Task, seed: Long, settings: SamplerSettings, encode: (RgbImage) -> IntArray): Start {
        val maskId = geometry.maskTokenId
        return when (task) {
            is TextToImage -> allMasked(geometry.positions, maskId)
            is Variation -> {
                val tokens = tokensOf(task, encode)
                variationStart(tokens, task.strength, settings, maskId, seed, task.firstPicture.toLong())
            }
            is Inpainting -> {
                val repaint = repaint(task)
                if (repaint.none { it }) warn("the mask covers no token: there is nothing to draw")
                inpaintingStart({ tokensOf(task, encode) }, repaint, task.strength, settings, maskId)
            }
        }
    }

    /** Returns a task's picture: what [decode] gives, with its own pixels where the task keeps them. */
    fun finish(task: Task, decode: () -> RgbImage): RgbImage {
        if (task !is Inpainting) return decode()
        val original = image(task)
        if (repaint(task).none { it }) return original
        val drawn = decode()
        return if (task.pasteBack) pasteBack(drawn, original, pixelMask(mask(task)), task.feather) else drawn
    }

    /** Throws `OptionsException` if a picture of a task cannot be brought to the bundle's size. */
    fun check(task: Task) {
        if (task is FromPictures && task.fit == Fit.EXACT) {
            task.images.forEach { checkProportions(it.width, it.height, geometry.imageWidth, geometry.imageHeight) }
        }
    }

    /** Drops what is remembered, and remembers nothing more. */
    override fun close(): Unit = known.close()

    private fun tokensOf(task: FromPictures, encode: (RgbImage) -> IntArray): IntArray {
        val key = "${task.fit.id} ${task.imageHash}"
        return known[key] ?: known.put(key, encode(image(task)))
    }

    private fun repaint(task: Inpainting) =
        tokenMask(mask(task), geometry.gridHeight, geometry.gridWidth, task.coverage)

    private fun image(task: FromPictures) = task.images[0].fitted(geometry.imageWidth, geometry.imageHeight, task.fit)

    private fun mask(task: Inpainting) = task.masks[0].fitted(geometry.imageWidth, geometry.imageHeight, task.fit)
}
