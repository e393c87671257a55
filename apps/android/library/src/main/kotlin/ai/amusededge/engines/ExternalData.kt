package ai.amusededge.engines

import ai.amusededge.BundleException
import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.Role
import ai.amusededge.bundle.utf8
import ai.amusededge.quoted
import java.io.IOException

/** Where a tensor's values lie: file name as written in the model, first byte, number of bytes (0: not stated). */
internal class ExternalData(val location: String, val offset: Long, val length: Long)

private const val DEEPEST = 64

/** Message -> field number -> message inside. Only paths that lead to a tensor (onnx.proto). */
private val CHILDREN = mapOf(
    "model" to mapOf(7 to "graph", 20 to "training", 25 to "function"),
    "training" to mapOf(1 to "graph", 2 to "graph"),
    "graph" to mapOf(1 to "node", 5 to "tensor", 15 to "sparse"),
    "function" to mapOf(7 to "node", 11 to "attribute"),
    "node" to mapOf(5 to "attribute"),
    "attribute" to mapOf(5 to "tensor", 6 to "graph", 10 to "tensor", 11 to "graph", 22 to "sparse", 23 to "sparse"),
    "sparse" to mapOf(1 to "tensor", 2 to "tensor"),
)

/** Of a tensor: entries of where its values lie, each a key (1) and a value (2). */
private const val ENTRY = 13
private val WHOLE = Regex("""\s*[-+]?[0-9]{1,18}\s*""")

/** Refuses a model that reads weights from files that the manifest does not list for it, or past their end. */
internal fun checkExternalData(bundle: Bundle, role: Role) {
    val model = bundle.graph(role).files.first()
    val name = "${model.path} of ${bundle.folder}"
    val folder = model.path.substringBeforeLast('/', "").let { if (it.isEmpty()) "" else "$it/" }
    val sizes = bundle.graph(role).files.drop(1).associate { it.path to it.bytes }
    val references = try {
        externalData(bundle.file(model).readBytes())
    } catch (error: ProtobufException) {
        throw BundleException("$name is not an ONNX model: ${error.message}; copy the bundle again")
    } catch (error: IOException) {
        throw BundleException("cannot read $name: ${error.message}", error)
    }
    for (reference in references) {
        val place = quoted(reference.location)
        val size = sizes[folder + reference.location]
            ?: throw BundleException("$name reads weights from $place, which the manifest does not list; do not use it")
        val (offset, length) = reference.offset to reference.length
        if (offset < 0 || length < 0 || offset > size || length > size - offset) {
            throw BundleException("$name reads past the end of $place; copy the bundle again")
        }
    }
}

/** Returns every reference to external data in a serialized ONNX model. */
internal fun externalData(model: ByteArray): List<ExternalData> =
    ArrayList<ExternalData>().also { visit(Message(model, 0, model.size), "model", 0, it) }

private fun visit(message: Message, kind: String, depth: Int, found: MutableList<ExternalData>) {
    if (depth > DEEPEST) throw ProtobufException("its graphs are nested too deeply")
    if (kind == "tensor") {
        referenceOf(message)?.let { found.add(it) }
        return
    }
    val children = CHILDREN.getValue(kind)
    message.forEachMessage { number, content ->
        children[number]?.let { visit(content, it, depth + 1, found) }
    }
}

private fun referenceOf(tensor: Message): ExternalData? {
    val entries = HashMap<String, String>()
    tensor.forEachMessage { number, content ->
        if (number == ENTRY) {
            val pair = HashMap<Int, String>()
            content.forEachMessage { field, text -> pair[field] = utf8(text.bytes()) ?: "\ufffd" }
            entries[pair[1] ?: ""] = pair[2] ?: ""
        }
    }
    if (entries.isEmpty()) return null
    return ExternalData(entries["location"] ?: "", count(entries, "offset"), count(entries, "length"))
}

private fun count(entries: Map<String, String>, name: String): Long {
    val text = entries[name] ?: "0"
    if (!WHOLE.matches(text)) throw ProtobufException("the $name of a tensor's values is no whole number")
    return text.trim().toLong()
}
