package ai.amusededge.examples

import ai.amusededge.AmusedPipeline
import ai.amusededge.engines.ort.OrtEngine
import ai.amusededge.pictures.RgbImage
import ai.amusededge.sampling.GenerationOptions
import java.io.File

internal fun draw(folder: File, prompt: String): RgbImage =
    AmusedPipeline.open(folder, OrtEngine()).use { pipeline ->
        pipeline.generate(prompt, GenerationOptions(seed = 7uL)).image
    }
