package ai.amusededge

/**
 * Stops a run from another thread, between two calls of a graph; a call itself is not cut short. One may be given to
 * several runs.
 */
public class Cancellation {
    /** Whether [cancel] was called. */
    @Volatile
    public var isCancelled: Boolean = false
        private set

    /** Makes the runs that hold this throw [CancelledException]. */
    public fun cancel() {
        isCancelled = true
    }

    internal fun check() {
        if (isCancelled) throw CancelledException("it was cancelled")
    }
}
