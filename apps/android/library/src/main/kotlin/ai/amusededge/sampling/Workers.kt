package ai.amusededge.sampling

import java.util.concurrent.ExecutionException
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors
import java.util.concurrent.Future

/** Rows' codes from which threads pay: below it, waking them takes longer than the work. */
private const val WORTHWHILE = 1 shl 17

/** Threads that share the rows of a step. They sleep between steps and end with [close]; then the caller is alone. */
internal class Workers(private val threads: Int) : AutoCloseable {
    private var pool: ExecutorService? = null
    private var closed = false

    /** Calls [work] with parts of 0 until [count] that together are all of it, one part in this thread. */
    fun share(count: Int, codes: Int, work: (from: Int, until: Int) -> Unit) {
        if (threads == 1 || count < 2 || count.toLong() * codes < WORTHWHILE) return work(0, count)
        val parts = minOf(threads, count)
        fun bound(part: Int): Int = (count.toLong() * part / parts).toInt()
        val others: List<Future<*>>? = synchronized(this) {
            if (closed) return@synchronized null
            val executor = pool ?: Executors.newFixedThreadPool(threads - 1) { task ->
                Thread(task, "amused-edge sampler").apply { isDaemon = true }
            }.also { pool = it }
            (1 until parts).map { part -> executor.submit { work(bound(part), bound(part + 1)) } }
        }
        if (others == null) return work(0, count)
        val mine = runCatching { work(0, bound(1)) }.exceptionOrNull()
        // Each is waited for, also where another has failed: none may read logits that the caller takes for its own.
        val errors = listOf(mine) + others.map(::errorOf)
        errors.firstNotNullOfOrNull { it }?.let { throw it }
    }

    private fun errorOf(future: Future<*>): Throwable? = try {
        future.get()
        null
    } catch (error: ExecutionException) {
        error.cause
    }

    override fun close() {
        synchronized(this) {
            closed = true
            pool?.shutdown()
            pool = null
        }
    }
}
