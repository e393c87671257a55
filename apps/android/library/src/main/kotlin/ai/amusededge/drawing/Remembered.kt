package ai.amusededge.drawing

/** A few values that were costly to make, the least recently used of which goes first. For several threads. */
internal class Remembered<K : Any, V : Any>(private val capacity: Int) : AutoCloseable {
    private var closed = false
    private val values = object : LinkedHashMap<K, V>(16, 0.75f, true) {
        override fun removeEldestEntry(eldest: MutableMap.MutableEntry<K, V>): Boolean = size > capacity
    }

    operator fun get(key: K): V? = synchronized(this) { values[key] }

    /** Remembers a value, and returns it. */
    fun put(key: K, value: V): V = synchronized(this) {
        if (!closed) values[key] = value
        value
    }

    /** Forgets everything, and remembers nothing more. */
    override fun close() {
        synchronized(this) {
            closed = true
            values.clear()
        }
    }
}
