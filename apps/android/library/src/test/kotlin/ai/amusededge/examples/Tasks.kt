package ai.amusededge.examples

import ai.amusededge.AmusedPipeline
import ai.amusededge.pictures.GreyImage
import ai.amusededge.pictures.RgbImage
import ai.amusededge.sampling.GenerationOptions
import ai.amusededge.tasks.Inpainting
import ai.amusededge.tasks.Margins
import ai.amusededge.tasks.Picture
import ai.amusededge.tasks.TextToImage
import ai.amusededge.tasks.Variation
import ai.amusededge.tasks.outpainting
import ai.amusededge.tasks.texts

internal fun tasks(pipeline: AmusedPipeline, photo: RgbImage, mask: GreyImage): List<Picture> {
    val two = TextToImage(texts(listOf("a fox", "a cat")), texts(listOf("blurry")), picturesPerPrompt = 2)
    val like = Variation(texts(listOf("a fox in snow")), listOf(photo), strength = 0.6)
    val part = Inpainting(texts(listOf("a red hat")), listOf(photo), listOf(mask), feather = 4)
    val around = outpainting(texts(listOf("a wide meadow")), photo, Margins(16, 16, 16, 16))
    val options = GenerationOptions(steps = 8, guidanceScale = 4.0)
    return listOf(two, like, part, around).flatMap { pipeline.generate(it, options) }
}
