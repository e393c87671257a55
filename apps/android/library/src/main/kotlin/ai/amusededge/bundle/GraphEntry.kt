package ai.amusededge.bundle

import ai.amusededge.BundleException
import ai.amusededge.quoted
import java.math.BigInteger

/**
 * A file of the bundle.
 *
 * @property path inside it, "/" between parts
 * @property bytes its size
 * @property sha256 in hex
 */
public data class FileEntry(val path: String, val bytes: Long, val sha256: String)

/**
 * A named input or output of a graph.
 *
 * @property dtype for example "float32"
 * @property shape a dimension is a number, or a name where it is dynamic
 */
public data class TensorSpec(val name: String, val dtype: String, val shape: List<Dimension>)

/** A side of a tensor. */
public sealed interface Dimension {
    /** Always this many. */
    public data class Fixed(val size: Int) : Dimension

    /** As many as all others of this name in a call. */
    public data class Named(val name: String) : Dimension
}

/**
 * What the manifest says of a graph.
 *
 * @property files the model file first, then its weights
 */
public class GraphEntry internal constructor(
    public val files: List<FileEntry>,
    public val inputs: List<TensorSpec>,
    public val outputs: List<TensorSpec>,
) {
    /** Whether it takes one row only. */
    internal val isStatic: Boolean = inputs.all { it.shape.firstOrNull() == Dimension.Fixed(1) }
}

/** Parses one of the manifest's files; a name that may lie outside the bundle is refused. */
internal fun readFile(fields: Fields): FileEntry {
    val path = fields.text("path")
    val parts = path.split("/")
    val leaves = parts.any { it == "." || it == ".." }
    if (parts.all { it.isEmpty() } || path.startsWith("/") || path.any { it in "\\:\u0000" } || leaves) {
        throw BundleException("the manifest names ${quoted(path)}, which may lie outside the bundle; do not use it")
    }
    return FileEntry(path, fields.long("bytes"), fields.text("sha256"))
}

/** Parses one of the manifest's graphs. */
internal fun readGraph(fields: Fields): GraphEntry {
    val files = fields.items("files", ::readFile)
    if (files.isEmpty()) {
        throw BundleException("manifest.json: a graph has no files; $DAMAGED")
    }
    val derived = fields.child("derived_tensors")
    derived.names.forEach { derived.texts(it) }
    fields.text("stored_precision")
    fields.text("executed_precision")
    fields.table("tensors", ::checkFormat)
    return GraphEntry(files, fields.items("inputs", ::readTensor), fields.items("outputs", ::readTensor))
}

private fun readTensor(fields: Fields): TensorSpec {
    fields.text("layout")
    val shape = fields.list("shape").map { side ->
        when {
            side is String -> Dimension.Named(side)
            side is BigInteger && side.bitLength() < 32 -> Dimension.Fixed(side.toInt())
            else -> throw BundleException(
                "manifest.json: shape ${quoted(fields.list("shape"))} is not a list of numbers and names",
            )
        }
    }
    return TensorSpec(fields.text("name"), fields.text("dtype"), shape)
}

/** What a weight became: nothing here needs it, and it must be whole all the same. */
private fun checkFormat(fields: Fields) {
    fields.whole("bits")
    if (fields.raw("block") != null) fields.whole("block")
    fields.text("activations")
    fields.text("operator")
    fields.float("error")
    fields.text("codes")
}
