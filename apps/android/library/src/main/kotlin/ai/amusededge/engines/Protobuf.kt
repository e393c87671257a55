package ai.amusededge.engines

internal class ProtobufException(message: String) : Exception(message)

private const val VARINT = 0
private const val FIXED_64 = 1
private const val LENGTH_DELIMITED = 2
private const val FIXED_32 = 5

/** A protobuf message, as far as ONNX's files need it (protobuf.dev, "Encoding"); not what it means. */
internal class Message(private val data: ByteArray, private val from: Int, private val until: Int) {
    private var at = from

    fun bytes(): ByteArray = data.copyOfRange(from, until)

    /** Calls [use] with number and content of each field that has a length. */
    fun forEachMessage(use: (number: Int, content: Message) -> Unit) {
        at = from
        while (at < until) {
            val key = varint()
            val length = when ((key and 7).toInt()) {
                VARINT -> {
                    varint()
                    continue
                }
                FIXED_64 -> 8L
                FIXED_32 -> 4L
                LENGTH_DELIMITED -> varint()
                else -> throw ProtobufException("unknown wire type ${key and 7}")
            }
            if (length < 0 || length > until - at) throw ProtobufException("it ends in the middle of a field")
            val begin = at
            at += length.toInt()
            if ((key and 7).toInt() == LENGTH_DELIMITED) use((key ushr 3).toInt(), Message(data, begin, at))
        }
    }

    private fun varint(): Long {
        var value = 0L
        for (shift in 0 until 70 step 7) {
            if (at >= until) throw ProtobufException("it ends in the middle of a number")
            val byte = data[at++].toInt()
            value = value or ((byte and 0x7f).toLong() shl shift)
            if (byte >= 0) return value
        }
        throw ProtobufException("a number is too long")
    }
}
