package ai.amusededge.bundle

import ai.amusededge.BundleException
import ai.amusededge.OptionsException
import ai.amusededge.quoted
import ai.amusededge.sampling.SamplerSettings
import ai.amusededge.sampling.readSettings
import kotlin.math.abs

/** Above any size that a geometry can have. */
private const val LIMIT = 1 shl 20

/** Far above any pixel or score, far below what float32 would turn into infinity. */
private const val MICRO_LIMIT = 1e9

private val SCHEMA_VERSION = 1.toBigInteger()
internal const val MANIFEST_NAME = "manifest.json"
internal const val TOKENIZER_NAME = "tokenizer.json"
internal const val GOLDEN_NAME = "golden.json"

/** A graph's part in drawing; [id] is its name in files. */
public enum class Role(public val id: String) {
    TEXT_ENCODER("text_encoder"),
    CONDITIONER("conditioner"),
    DENOISER("denoiser"),
    IMAGE_DECODER("image_decoder"),

    /** Only pictures that start from pictures need it. */
    IMAGE_ENCODER("image_encoder"),
}

/** Where the weights come from. */
public data class ModelInfo(val name: String, val source: String, val license: String)

/**
 * Sizes that belong together: pixels, tokens and codes.
 *
 * @property imageHeight pixels, as [imageWidth]
 * @property gridHeight tokens, as [gridWidth]
 * @property codebookSize codes that a token can have; logits have this many columns
 * @property maskTokenId the id of a masked token, outside the codebook
 * @property textLength ids per prompt
 */
public data class Geometry(
    val imageHeight: Int,
    val imageWidth: Int,
    val gridHeight: Int,
    val gridWidth: Int,
    val codebookSize: Int,
    val maskTokenId: Int,
    val textLength: Int,
) {
    /** Tokens of a picture. */
    public val positions: Int get() = gridHeight * gridWidth
}

/** What the model is told beside the picture's size: crop offset in pixels, aesthetic score; each from -1e9 to 1e9. */
public data class MicroConditioning(
    val cropTop: Double = 0.0,
    val cropLeft: Double = 0.0,
    val aestheticScore: Double = 6.0,
) {
    init {
        val values = listOf("crop_top" to cropTop, "crop_left" to cropLeft, "aesthetic_score" to aestheticScore)
        for ((name, value) in values) {
            if (!(abs(value) <= MICRO_LIMIT)) {
                throw OptionsException("$name is $value; it must be a number from -1e9 to 1e9")
            }
        }
    }
}

/**
 * The engine that runs the graphs.
 *
 * @property version the one that parity was checked with
 * @property oldestTried the oldest version that ran such graphs; "none" where none was to be had
 * @property optimize "portable", or "cpu": operators and codes that ONNX Runtime computes fastest on CPUs
 */
public data class EngineInfo(
    val name: String,
    val version: String,
    val oldestTried: String,
    val optimize: String,
)

/**
 * `manifest.json`: what a bundle is, and what its graphs take and give.
 *
 * Reading is strict: a manifest that does not say all that Python's runtime asks for, or that names a file outside its
 * folder, is refused.
 *
 * @property target "onnx"; other bundles are read, and refused when a graph is loaded
 * @property sampler default settings of the loop
 * @property files files that belong to no graph, by name
 * @property graphs by the role's id
 * @property recipe name of the quantization recipe; "" of an exported bundle
 */
public class Manifest internal constructor(
    public val target: String,
    public val model: ModelInfo,
    public val geometry: Geometry,
    public val sampler: SamplerSettings,
    public val microConditioning: MicroConditioning,
    public val engine: EngineInfo,
    public val files: Map<String, FileEntry>,
    public val graphs: Map<String, GraphEntry>,
    public val recipe: String,
) {
    /** Every file of the bundle but the manifest itself. */
    internal val allFiles: List<FileEntry> get() = files.values + graphs.values.flatMap { it.files }
}

/** Parses and checks the text of `manifest.json`. */
internal fun readManifest(text: String): Manifest {
    val fields = Fields(parsed(text), MANIFEST_NAME)
    val version = fields.whole("schema_version")
    if (version > SCHEMA_VERSION) {
        throw BundleException(
            "the bundle has schema version ${quoted(version)}, this amused-edge reads up to $SCHEMA_VERSION; " +
                "upgrade amused-edge",
        )
    }
    if (version.signum() < 1) {
        throw BundleException("$MANIFEST_NAME: there is no schema version ${quoted(version)}; $DAMAGED")
    }
    return Manifest(
        target = fields.text("target"),
        model = fields.child("model").let { ModelInfo(it.text("name"), it.text("source"), it.text("license")) },
        geometry = readGeometry(fields.child("geometry")),
        sampler = ofBundle("sampler") { readSettings(fields.child("sampler")) },
        microConditioning = ofBundle("micro_conditioning") {
            readMicroConditioning(fields.child("micro_conditioning"))
        },
        engine = readEngine(fields.child("engine")),
        files = fields.table("files", ::readFile),
        graphs = fields.table("graphs", ::readGraph).also {
            fields.child("tools")
            checkMeasurements(fields)
        },
        recipe = fields.optional("quantization")?.child("recipe")?.takeIf { "name" in it.names }?.text("name") ?: "",
    )
}

private fun parsed(text: String): Any? = try {
    parseJson(text)
} catch (error: JsonException) {
    throw BundleException("$MANIFEST_NAME is not JSON (${error.message}); make the bundle again")
}

/** Returns what [read] returns; what it says of an option is said of the manifest. */
private inline fun <T> ofBundle(name: String, read: () -> T): T = try {
    read()
} catch (error: OptionsException) {
    throw BundleException("$MANIFEST_NAME: $name: ${error.message}")
}

private fun readGeometry(fields: Fields): Geometry {
    fun size(name: String): Int {
        val value = fields.whole(name)
        if (value.bitLength() > 31 || value.toLong() !in 1L until LIMIT) {
            throw BundleException("the geometry's $name is ${quoted(value)}; it must be between 1 and ${LIMIT - 1}")
        }
        return value.toInt()
    }
    val geometry = Geometry(
        size("image_height"), size("image_width"), size("grid_height"), size("grid_width"),
        size("codebook_size"), size("mask_token_id"), size("text_length"),
    )
    if (geometry.maskTokenId < geometry.codebookSize) {
        throw BundleException("mask_token_id ${geometry.maskTokenId} is one of the ${geometry.codebookSize} codes")
    }
    return geometry
}

internal fun readMicroConditioning(fields: Fields): MicroConditioning =
    MicroConditioning(fields.float("crop_top"), fields.float("crop_left"), fields.float("aesthetic_score"))

private fun readEngine(fields: Fields): EngineInfo {
    val optimize = fields.text("optimize")
    if (optimize != "portable" && optimize != "cpu") {
        throw BundleException(
            "$MANIFEST_NAME: optimize is ${quoted(optimize)}; this amused-edge knows portable, cpu; upgrade it",
        )
    }
    return EngineInfo(fields.text("name"), fields.text("version"), fields.text("oldest_tried"), optimize)
}
