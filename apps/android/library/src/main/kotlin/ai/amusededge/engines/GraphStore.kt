package ai.amusededge.engines

import ai.amusededge.GraphException
import ai.amusededge.bundle.Role

/**
 * Keeps a pipeline's graphs: loaded at first use, shared by its callers, dropped at the end or right after use. For
 * several threads.
 *
 * @property graphsStay whether a graph stays once it is loaded; else it goes when its last user leaves
 */
internal class GraphStore(val graphsStay: Boolean, private val load: (Role) -> CheckedGraph) : AutoCloseable {
    private class Held(val graph: Lazy<CheckedGraph>, var users: Int = 0)

    private val held = HashMap<Role, Held>()
    private var closed = false

    /** Returns a role's graph with one user more; each `acquire` is followed by a `release`. */
    fun acquire(role: Role): CheckedGraph {
        val one = synchronized(this) {
            if (closed) throw closedError()
            held.getOrPut(role) { Held(lazy { load(role) }) }.also { it.users++ }
        }
        try {
            val graph = one.graph.value // others may wait here for the same graph
            if (synchronized(this) { closed }) {
                graph.close()
                throw closedError()
            }
            return graph
        } catch (error: Throwable) {
            leave(role, one)
            throw error
        }
    }

    fun release(role: Role) {
        synchronized(this) { held[role] }?.let { leave(role, it) }
    }

    /** Takes a user away; a failed one too, as others may have loaded the graph since. */
    private fun leave(role: Role, one: Held) {
        val goes = synchronized(this) {
            val stays = --one.users > 0 || graphsStay && one.graph.isInitialized()
            !stays && held.remove(role, one)
        }
        if (goes && one.graph.isInitialized()) one.graph.value.close()
    }

    inline fun <T> use(role: Role, work: (CheckedGraph) -> T): T {
        val graph = acquire(role)
        try {
            return work(graph)
        } finally {
            release(role)
        }
    }

    /** Drops all graphs, once the calls that they are in have ended; no more are to be had. */
    override fun close() {
        val all = synchronized(this) {
            closed = true
            held.values.toList().also { held.clear() }
        }
        all.filter { it.graph.isInitialized() }.forEach { it.graph.value.close() }
    }

    private fun closedError() = GraphException("the pipeline was closed; open a new one")
}
