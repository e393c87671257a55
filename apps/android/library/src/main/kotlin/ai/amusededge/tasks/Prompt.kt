package ai.amusededge.tasks

import ai.amusededge.OptionsException
import ai.amusededge.bundle.hex
import ai.amusededge.checkText
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest

/** What is drawn: a text, or what the text encoder made of one. */
public sealed interface Prompt {
    /** Words; Unicode without half surrogate pairs. */
    public data class Text(val text: String) : Prompt {
        init {
            checkText(text)
        }
    }

    /**
     * What the text encoder returns for one prompt, given in its place.
     *
     * @param hiddenStates (text length, E), row by row: the last layer but one
     * @param pooled (P): the projected text embedding
     * @property textLength rows of the hidden states
     * @throws OptionsException values are no numbers, or do not make so many rows
     */
    public class Embeddings(hiddenStates: FloatArray, public val textLength: Int, pooled: FloatArray) : Prompt {
        internal val hidden: FloatArray = checked("hidden states", hiddenStates)
        internal val pooled: FloatArray = checked("pooled", pooled)

        /** Values of a row. */
        internal val width: Int = if (textLength > 0) hidden.size / textLength else 0

        /** Hash of the values. */
        public val sha256: String = MessageDigest.getInstance("SHA-256").run {
            update(bytes(hidden))
            update(bytes(this@Embeddings.pooled))
            hex(digest())
        }

        init {
            if (textLength < 1 || width * textLength != hidden.size) {
                throw OptionsException("hidden states have ${hidden.size} values, which are not $textLength rows")
            }
        }
    }
}

private fun checked(name: String, values: FloatArray): FloatArray {
    if (values.isEmpty()) throw OptionsException("$name of prompt embeddings has no value")
    if (!values.all { it.isFinite() }) {
        throw OptionsException("$name of prompt embeddings hold NaN or infinity; encode the prompt again")
    }
    return values.copyOf()
}

private fun bytes(values: FloatArray): ByteArray {
    val buffer = ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN)
    buffer.asFloatBuffer().put(values)
    return buffer.array()
}
