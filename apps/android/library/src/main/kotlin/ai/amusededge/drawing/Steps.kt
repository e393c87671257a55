package ai.amusededge.drawing

import ai.amusededge.sampling.Step

/**
 * The steps of a run, computed one by one as they are asked for; they can be gone through once. Whoever leaves them
 * early closes them, as with `use`: until then they hold the denoiser.
 */
public class Steps internal constructor(begin: () -> Run?) : Sequence<Step>, AutoCloseable {
    /** Computes the next step, or returns null at the end; is closed once. */
    internal interface Run : AutoCloseable {
        fun next(): Step?

        override fun close()
    }

    private var begin: (() -> Run?)? = begin
    private var run: Run? = null

    override fun iterator(): Iterator<Step> {
        val first = checkNotNull(begin) { "steps can be gone through once" }
        begin = null
        return generateSequence(
            { attempt { first().also { run = it }?.next() } },
            { attempt { run?.next() } },
        ).iterator()
    }

    /** Returns a step; where there is none, or it failed, the run has ended. */
    private inline fun attempt(step: () -> Step?): Step? {
        var next: Step? = null
        try {
            next = step()
            return next
        } finally {
            if (next == null) close()
        }
    }

    /** Ends the run; may be called again. */
    override fun close() {
        begin = null
        run?.close()
        run = null
    }
}
