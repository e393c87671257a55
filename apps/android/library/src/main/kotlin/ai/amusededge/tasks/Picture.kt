package ai.amusededge.tasks

import ai.amusededge.pictures.RgbImage

/**
 * A finished picture and what it was drawn from.
 *
 * @property tokens (h * w), row by row
 * @property probability (h * w): how sure the model was of each token when it was drawn
 */
public class Picture internal constructor(
    public val image: RgbImage,
    public val tokens: IntArray,
    public val probability: FloatArray,
    public val prompt: Prompt,
    public val parameters: PictureParameters,
)
