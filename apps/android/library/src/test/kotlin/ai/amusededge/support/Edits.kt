package ai.amusededge.support

import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.hex
import ai.amusededge.bundle.parseJson
import java.io.File
import java.math.BigInteger
import java.nio.file.Files
import java.security.MessageDigest
import kotlin.experimental.xor

/** Makes a damaged bundle of a whole one, as the kit's edits say; [folder] is new. Files that stay are links. */
internal fun editedBundle(whole: File, folder: File, edits: List<Values>) {
    folder.mkdirs()
    val changed = edits.map { it.text("file") } + edits.mapNotNull { it["to"] as String? } + "manifest.json"
    for (file in whole.listFiles().orEmpty()) {
        val target = File(folder, file.name)
        if (file.name in changed) file.copyTo(target) else Files.createLink(target.toPath(), file.toPath())
    }
    edits.forEach { edit(folder, it) }
}

private fun edit(folder: File, edit: Values) {
    val file = File(folder, edit.text("file"))
    when (val operation = edit.text("op")) {
        "set" -> withJson(file) { put(it, edit.list("path"), edit["value"]) }
        "remove" -> withJson(file) { remove(it, edit.list("path")) }
        "write" -> file.writeText(edit.text("text"))
        "replace" -> {
            val text = file.readText(Charsets.ISO_8859_1)
            val at = text.indexOf(edit.text("find"))
            val changed = text.replaceRange(at, at + edit.text("find").length, edit.text("with"))
            file.writeText(changed, Charsets.ISO_8859_1)
        }
        "truncate" -> file.writeBytes(file.readBytes().run { copyOf(size - edit.int("bytes")) })
        "append" -> file.appendText(edit.text("text"))
        "flip" -> {
            val bytes = file.readBytes()
            val at = edit.int("offset").let { if (it < 0) bytes.size + it else it }
            bytes[at] = bytes[at] xor edit.int("mask").toByte()
            file.writeBytes(bytes)
        }
        "delete" -> file.delete()
        "copy" -> file.copyTo(File(folder, edit.text("to")), overwrite = true)
        "relist" -> relist(folder, edit.text("file"))
        else -> error("unknown operation $operation")
    }
}

private fun relist(folder: File, name: String) {
    val bytes = File(folder, name).readBytes()
    val hash = hex(MessageDigest.getInstance("SHA-256").digest(bytes))
    withJson(File(folder, "manifest.json")) { manifest ->
        for (entry in entriesOf(manifest)) {
            if (entry["path"] == name) {
                entry["bytes"] = BigInteger.valueOf(bytes.size.toLong())
                entry["sha256"] = hash
            }
        }
    }
}

@Suppress("UNCHECKED_CAST")
private fun entriesOf(manifest: Any?): List<MutableMap<String, Any?>> {
    val content = manifest as Map<String, Map<String, Any?>>
    val ofGraphs = content.getValue("graphs").values.flatMap { (it as Map<String, List<Any?>>).getValue("files") }
    return (content.getValue("files").values + ofGraphs).map { it as MutableMap<String, Any?> }
}

private fun withJson(file: File, change: (Any?) -> Unit) {
    val content = mutable(parseJson(file.readText(), constants = true))
    change(content)
    file.writeText(dumpJson(content))
}

internal fun mutable(value: Any?): Any? = when (value) {
    is Map<*, *> -> value.entries.associateTo(LinkedHashMap()) { it.key to mutable(it.value) }
    is List<*> -> value.mapTo(ArrayList()) { mutable(it) }
    else -> value
}

/** Puts a value at a path; the index after a list's last one appends. */
@Suppress("UNCHECKED_CAST")
internal fun put(content: Any?, path: List<Any?>, value: Any?) {
    val last = path.last()
    when (val parent = parentOf(content, path)) {
        is MutableMap<*, *> -> (parent as MutableMap<Any?, Any?>)[last] = value
        is MutableList<*> -> {
            val list = parent as MutableList<Any?>
            val index = (last as BigInteger).toInt()
            if (index == list.size) list.add(value) else list[index] = value
        }
    }
}

private fun remove(content: Any?, path: List<Any?>) {
    when (val parent = parentOf(content, path)) {
        is MutableMap<*, *> -> parent.remove(path.last())
        is MutableList<*> -> parent.removeAt((path.last() as BigInteger).toInt())
    }
}

private fun parentOf(content: Any?, path: List<Any?>): Any? = path.dropLast(1).fold(content) { place, name ->
    if (place is Map<*, *>) place[name] else (place as List<*>)[(name as BigInteger).toInt()]
}
