package ai.amusededge.benchmark

import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread

/** Milliseconds between two looks: a call of a graph takes many more, and a look takes far less. */
private const val BETWEEN = 5L

/** Looks at the memory in a thread of its own until it is closed, so that a peak within a call is seen. */
internal class MemoryWatch(private val probe: Probe, private val see: (Memory?) -> Unit) : AutoCloseable {
    private val ended = CountDownLatch(1)
    private val watcher = thread(isDaemon = true, name = "amused-edge memory") {
        do see(probe.memory()) while (!ended.await(BETWEEN, TimeUnit.MILLISECONDS))
    }

    /** Ends the thread, and looks once more. */
    override fun close() {
        ended.countDown()
        watcher.join()
        see(probe.memory())
    }
}
