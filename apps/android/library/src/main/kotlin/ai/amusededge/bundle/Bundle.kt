package ai.amusededge.bundle

import ai.amusededge.BundleException
import ai.amusededge.Cancellation
import java.io.File
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.security.MessageDigest

/**
 * A bundle: a folder, immutable once written, with everything an app needs.
 *
 * Opening is cheap: the manifest's schema and names, the presence and size of every file. Hashes are for [verify].
 *
 * @property sha256 hash of the manifest, which holds the hashes of all other files: the bundle's identity
 */
public class Bundle private constructor(
    public val folder: File,
    public val manifest: Manifest,
    public val sha256: String,
) {
    /** Returns one of the bundle's files by its path in the manifest. */
    public fun file(entry: FileEntry): File = File(folder, entry.path)

    /** Returns what the manifest says of a role's graph. */
    public fun graph(role: Role): GraphEntry = manifest.graphs.getValue(role.id)

    /**
     * Checks the hash of every file: once after a download or a copy, as it reads all of them.
     *
     * @throws BundleException which names the first file whose content is not the manifest's
     * @throws ai.amusededge.CancelledException
     */
    public fun verify(cancellation: Cancellation? = null) {
        for (entry in manifest.allFiles) {
            val hash = reading(entry.path) { hashOf(file(entry), cancellation) }
            if (hash != entry.sha256) {
                throw BundleException(
                    "${entry.path} of $folder is damaged: its SHA-256 is not the manifest's; copy the bundle again",
                )
            }
        }
    }

    internal fun text(name: String): String {
        val entry = manifest.files.getValue(name)
        return utf8(reading(entry.path) { file(entry).readBytes() })
            ?: throw BundleException("${entry.path} of $folder is not UTF-8 text; copy the bundle again")
    }

    private inline fun <T> reading(path: String, read: () -> T): T = try {
        read()
    } catch (error: IOException) {
        throw BundleException("cannot read $path of $folder: ${error.message}", error)
    }

    private fun checkWhole() {
        val missing = Role.values().map { it.id }.filter { it !in manifest.graphs } +
            listOf(TOKENIZER_NAME, GOLDEN_NAME).filter { it !in manifest.files }
        if (missing.isNotEmpty()) {
            throw BundleException("bundle $folder lacks ${missing.joinToString()}; copy it again, or export it again")
        }
        val root = folder.canonicalFile.toPath()
        for (entry in manifest.allFiles) {
            val file = file(entry)
            if (!reading(entry.path) { file.canonicalFile.toPath() }.startsWith(root)) {
                throw BundleException(
                    "$file is a link that leaves the bundle; do not use this bundle, or, if the link is your own, " +
                        "make a copy without links",
                )
            }
            if (!file.isFile) throw BundleException("bundle $folder lacks the file ${entry.path}; copy it again")
            if (file.length() != entry.bytes) {
                throw BundleException(
                    "${entry.path} of $folder has ${file.length()} bytes, the manifest says ${entry.bytes}: " +
                        "truncated or changed; copy the bundle again",
                )
            }
        }
    }

    public companion object {
        /**
         * Opens a bundle.
         *
         * @throws BundleException it is none, its manifest is damaged or of a newer schema, a role is missing, or a
         * file is missing or of another size
         */
        public fun open(folder: File): Bundle {
            val bytes = try {
                File(folder, MANIFEST_NAME).readBytes()
            } catch (error: IOException) {
                throw notABundle(folder, error)
            }
            val manifest = readManifest(utf8(bytes) ?: throw notABundle(folder, null))
            val hash = MessageDigest.getInstance("SHA-256").digest(bytes)
            return Bundle(folder, manifest, hex(hash)).also { it.checkWhole() }
        }

        private fun notABundle(folder: File, cause: Throwable?) = BundleException(
            "$folder is not a bundle: cannot read $MANIFEST_NAME; make one with `amused-edge export`", cause,
        )
    }
}

private const val PIECE = 1 shl 20

private fun hashOf(file: File, cancellation: Cancellation?): String {
    val digest = MessageDigest.getInstance("SHA-256")
    val piece = ByteArray(PIECE)
    file.inputStream().use { input ->
        while (true) {
            cancellation?.check()
            val count = input.read(piece)
            if (count < 0) break
            digest.update(piece, 0, count)
        }
    }
    return hex(digest.digest())
}

internal fun hex(bytes: ByteArray): String = bytes.joinToString("") { "%02x".format(it) }

/** Returns the text of bytes; null if they are not UTF-8. */
internal fun utf8(bytes: ByteArray): String? = try {
    Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString()
} catch (_: CharacterCodingException) {
    null
}
