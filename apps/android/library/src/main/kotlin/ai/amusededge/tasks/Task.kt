package ai.amusededge.tasks

import ai.amusededge.OptionsException
import ai.amusededge.bundle.MicroConditioning
import ai.amusededge.bundle.hex
import ai.amusededge.checkStrength
import ai.amusededge.pictures.Coverage
import ai.amusededge.pictures.Fit
import ai.amusededge.pictures.GreyImage
import ai.amusededge.pictures.RgbImage
import ai.amusededge.wholeNumber
import java.security.MessageDigest

private const val COUNT_LIMIT = 100_000
private const val FEATHER_LIMIT = 256

/** Pixels of a side, of a picture with its margins. */
private const val CANVAS_LIMIT = 1 shl 14

/**
 * What is to be drawn: prompts and the start; how the loop runs is in the options. Pictures come in the order of
 * prompts: all of the first prompt, then all of the second.
 *
 * @property prompts one or more
 * @property negativePrompts what guidance steers away from, one per prompt
 * @property picturesPerPrompt 1 to 100,000
 * @property firstPicture index, from 0, of each prompt's first picture. Picture k is the same whether drawn alone or
 * among others.
 * @property microConditioning crop and aesthetic score that the model is told; null takes the bundle's
 */
public sealed class Task(
    public val prompts: List<Prompt>,
    negativePrompts: List<Prompt>,
    public val picturesPerPrompt: Int,
    public val firstPicture: ULong,
    public val microConditioning: MicroConditioning?,
) {
    public val negativePrompts: List<Prompt> = forEach(prompts, "negative prompts", negativePrompts)

    init {
        if (prompts.isEmpty()) throw OptionsException("no prompt was given; give at least one")
        wholeNumber("picturesPerPrompt", picturesPerPrompt, 1, COUNT_LIMIT)
        val last = ULong.MAX_VALUE - picturesPerPrompt.toULong() + 1uL
        if (firstPicture > last) throw OptionsException("firstPicture is $firstPicture; it must be $last or less")
    }

    /** The kind's name in files. */
    internal abstract val kind: String

    /** Returns the task of one of the pictures alone. */
    internal abstract fun single(place: Place): Task

    /** All pictures in order. */
    internal val places: List<Place>
        get() = prompts.indices.flatMap { prompt ->
            List(picturesPerPrompt) { Place(prompt, firstPicture + it.toULong()) }
        }

    public companion object {
        /** Returns the task of drawing pictures from text alone. */
        public operator fun invoke(vararg prompts: String): TextToImage = TextToImage(texts(prompts.asList()))
    }
}

/** A picture of a task: its prompt's index, and its own within the prompt. */
internal data class Place(val prompt: Int, val picture: ULong)

/** Returns texts as prompts. */
public fun texts(prompts: List<String>): List<Prompt> = prompts.map { Prompt.Text(it) }

private val NOTHING = listOf<Prompt>(Prompt.Text(""))

/** Pictures from text, all tokens masked at the start. */
public class TextToImage(
    prompts: List<Prompt>,
    negativePrompts: List<Prompt> = NOTHING,
    picturesPerPrompt: Int = 1,
    firstPicture: ULong = 0uL,
    microConditioning: MicroConditioning? = null,
) : Task(prompts, negativePrompts, picturesPerPrompt, firstPicture, microConditioning) {
    override val kind: String get() = "text_to_image"

    override fun single(place: Place): TextToImage = TextToImage(
        listOf(prompts[place.prompt]), listOf(negativePrompts[place.prompt]), 1, place.picture, microConditioning,
    )
}

/** A task that starts from pictures. */
public sealed class FromPictures(
    prompts: List<Prompt>,
    images: List<RgbImage>,
    public val strength: Double,
    public val fit: Fit,
    negativePrompts: List<Prompt>,
    picturesPerPrompt: Int,
    firstPicture: ULong,
    microConditioning: MicroConditioning?,
) : Task(prompts, negativePrompts, picturesPerPrompt, firstPicture, microConditioning) {
    /** One per prompt. */
    public val images: List<RgbImage> = forEach(prompts, "images", images)

    /** Hash of the first picture. */
    internal val imageHash: String by lazy { pictureHash(this.images[0]) }

    init {
        checkStrength(strength)
    }
}

/**
 * Pictures from text and a picture: a share of its tokens is masked at random and drawn anew.
 *
 * @param images one for all prompts, or one per prompt
 * @param strength share of the steps that run, 0 to 1; the later a run starts, the fewer tokens are masked. At 1 all
 * are, and at 0, or too little for one step, the picture only passes through the VQ-GAN.
 */
public class Variation(
    prompts: List<Prompt>,
    images: List<RgbImage>,
    strength: Double = 0.5,
    fit: Fit = Fit.CROP,
    negativePrompts: List<Prompt> = NOTHING,
    picturesPerPrompt: Int = 1,
    firstPicture: ULong = 0uL,
    microConditioning: MicroConditioning? = null,
) : FromPictures(
    prompts, images, strength, fit, negativePrompts, picturesPerPrompt, firstPicture, microConditioning,
) {
    override val kind: String get() = "variation"

    override fun single(place: Place): Variation = Variation(
        listOf(prompts[place.prompt]), listOf(images[place.prompt]), strength, fit,
        listOf(negativePrompts[place.prompt]), 1, place.picture, microConditioning,
    )
}

/**
 * Part of a picture drawn anew.
 *
 * @param images one for all prompts, or one per prompt
 * @param masks of their image's size, bright where it is to be repainted: one for all images, or one per image
 * @param strength share of the steps that run, above 0 to 1. All that the mask covers is masked at the start whatever
 * it is: less than 1 leaves out the early steps, and is faster.
 * @property pasteBack put the picture's own pixels where the mask is dark, or pass the whole through the VQ-GAN
 * @property feather pixels, 0 to 256, over which the pasted picture fades into the new part
 */
public class Inpainting(
    prompts: List<Prompt>,
    images: List<RgbImage>,
    masks: List<GreyImage>,
    strength: Double = 1.0,
    fit: Fit = Fit.CROP,
    public val coverage: Coverage = Coverage.HALF,
    public val pasteBack: Boolean = true,
    public val feather: Int = 0,
    negativePrompts: List<Prompt> = NOTHING,
    picturesPerPrompt: Int = 1,
    firstPicture: ULong = 0uL,
    microConditioning: MicroConditioning? = null,
) : FromPictures(
    prompts, images, strength, fit, negativePrompts, picturesPerPrompt, firstPicture, microConditioning,
) {
    /** One per prompt. */
    public val masks: List<GreyImage> = forEach(prompts, "masks", masks)

    /** Hash of the first mask. */
    internal val maskHash: String by lazy { pictureHash(this.masks[0]) }

    override val kind: String get() = "inpainting"

    init {
        wholeNumber("feather", feather, 0, FEATHER_LIMIT)
        this.images.zip(this.masks).forEach { (image, mask) ->
            if (image.width != mask.width || image.height != mask.height) {
                throw OptionsException(
                    "the mask has ${mask.width}x${mask.height} pixels, its picture ${image.width}x${image.height}; " +
                        "give a mask of the picture's size",
                )
            }
        }
    }

    override fun single(place: Place): Inpainting = Inpainting(
        listOf(prompts[place.prompt]), listOf(images[place.prompt]), listOf(masks[place.prompt]), strength, fit,
        coverage, pasteBack, feather, listOf(negativePrompts[place.prompt]), 1, place.picture, microConditioning,
    )
}

/** Pixels around a picture, each 0 or more. */
public data class Margins(val left: Int = 0, val top: Int = 0, val right: Int = 0, val bottom: Int = 0)

/**
 * Returns the task that draws around a picture. Picture and margins together must have the proportions of the bundle's
 * pictures, to whose size they are brought.
 */
public fun outpainting(
    prompts: List<Prompt>,
    image: RgbImage,
    margins: Margins,
    strength: Double = 1.0,
    feather: Int = 0,
    negativePrompts: List<Prompt> = NOTHING,
    picturesPerPrompt: Int = 1,
    firstPicture: ULong = 0uL,
    microConditioning: MicroConditioning? = null,
): Inpainting {
    val (left, top, right, bottom) = margins
    for ((name, side) in listOf("left" to left, "top" to top, "right" to right, "bottom" to bottom)) {
        wholeNumber(name, side, 0, CANVAS_LIMIT)
    }
    val width = image.width + left + right
    val height = image.height + top + bottom
    if (maxOf(width, height) > CANVAS_LIMIT) {
        throw OptionsException("the canvas has ${width}x$height pixels; each side may have $CANVAS_LIMIT")
    }
    val canvas = ByteArray(3 * width * height)
    val mask = ByteArray(width * height)
    for (y in 0 until height) {
        val row = (y - top).coerceIn(0, image.height - 1)
        for (x in 0 until width) {
            val column = (x - left).coerceIn(0, image.width - 1)
            val from = 3 * (row * image.width + column)
            val at = y * width + x
            image.data.copyInto(canvas, 3 * at, from, from + 3) // the picture's edge goes on
            mask[at] = if (row == y - top && column == x - left) 0 else -1
        }
    }
    return Inpainting(
        prompts, listOf(RgbImage(width, height, canvas)), listOf(GreyImage(width, height, mask)), strength, Fit.EXACT,
        Coverage.ANY, true, feather, negativePrompts, picturesPerPrompt, firstPicture, microConditioning,
    )
}

/** Repeats a single value for all prompts. */
private fun <T> forEach(prompts: List<Prompt>, name: String, values: List<T>): List<T> = when (values.size) {
    prompts.size -> values.toList()
    1 -> List(prompts.size) { values[0] }
    else -> throw OptionsException(
        "${values.size} $name for ${prompts.size} prompts; give one for all, or one per prompt",
    )
}

/** Returns the hash of a picture's size and pixels, as files name it. */
internal fun pictureHash(image: RgbImage): String = hashOf("RGB (${image.width}, ${image.height})", image.data)

internal fun pictureHash(image: GreyImage): String = hashOf("L (${image.width}, ${image.height})", image.data)

private fun hashOf(head: String, data: ByteArray): String = MessageDigest.getInstance("SHA-256").run {
    update(head.toByteArray(Charsets.US_ASCII))
    update(data)
    hex(digest())
}
