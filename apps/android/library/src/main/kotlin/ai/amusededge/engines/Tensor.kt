package ai.amusededge.engines

import ai.amusededge.GraphException
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** What a tensor's values are; [id] is the name in manifests. */
public enum class DType(public val id: String, internal val bytes: Int) {
    FLOAT32("float32", 4),
    INT64("int64", 8),
    INT32("int32", 4),
    UINT8("uint8", 1),
    ;

    internal companion object {
        fun of(id: String): DType = values().firstOrNull { it.id == id }
            ?: throw GraphException("a graph has tensors of $id, which this amused-edge does not know; upgrade it")
    }
}

/**
 * Numbers and their shape, row by row, in memory that stays in its place: an engine reads and writes it there, without
 * a copy. It is made once and used again from step to step.
 */
public class Tensor private constructor(
    public val dtype: DType,
    public val shape: List<Int>,
    private val memory: ByteBuffer,
) {
    /** The tensor of a type and shape, filled with zeros. */
    public constructor(dtype: DType, shape: List<Int>) :
        this(dtype, shape, allocate(dtype.bytes.toLong() * sizeOf(shape)))

    /** How many values there are. */
    public val size: Int get() = memory.capacity() / dtype.bytes

    /** The values: a direct buffer in native order, from the first to the last; a view of its own at each call. */
    public val data: ByteBuffer get() = memory.duplicate().order(ByteOrder.nativeOrder()).apply { clear() }

    /** Returns some rows, from one to before another; they share the memory. */
    internal fun rows(from: Int, until: Int): Tensor {
        val width = memory.capacity() / shape[0]
        val part = memory.duplicate()
        part.position(from * width).limit(until * width)
        return Tensor(dtype, listOf(until - from) + shape.drop(1), part.slice())
    }

    internal fun put(values: FloatArray): Tensor = apply { data.asFloatBuffer().put(values) }

    internal fun put(values: ByteArray): Tensor = apply { data.put(values) }

    /** Writes whole numbers as the graph's own kind of them, from the value [at] on. */
    internal fun put(values: IntArray, at: Int = 0): Tensor = apply {
        if (dtype == DType.INT64) {
            val longs = data.asLongBuffer()
            for (i in values.indices) longs.put(at + i, values[i].toLong())
        } else {
            data.asIntBuffer().apply { position(at) }.put(values)
        }
    }

    internal fun floats(): FloatArray = FloatArray(size).also { data.asFloatBuffer().get(it) }

    internal fun ints(): IntArray = if (dtype == DType.INT64) {
        val longs = data.asLongBuffer()
        IntArray(size) { longs.get(it).toInt() }
    } else {
        IntArray(size).also { data.asIntBuffer().get(it) }
    }

    internal fun bytes(): ByteArray = ByteArray(size).also { data.get(it) }
}

private fun sizeOf(shape: List<Int>): Long = shape.fold(1L) { product, side -> product * side }

private fun allocate(bytes: Long): ByteBuffer {
    if (bytes > Int.MAX_VALUE) throw GraphException("a tensor has $bytes bytes, more than one may have")
    return ByteBuffer.allocateDirect(bytes.toInt()).order(ByteOrder.nativeOrder())
}
