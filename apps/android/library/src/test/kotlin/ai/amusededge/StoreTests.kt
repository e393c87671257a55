package ai.amusededge

import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.Role
import ai.amusededge.engines.CheckedGraph
import ai.amusededge.engines.Graph
import ai.amusededge.engines.GraphStore
import ai.amusededge.engines.Tensor
import ai.amusededge.support.DEMO
import ai.amusededge.support.Tests
import ai.amusededge.support.check
import ai.amusededge.support.equal
import ai.amusededge.support.fails
import java.util.concurrent.Callable
import java.util.concurrent.ExecutionException
import java.util.concurrent.FutureTask
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread

internal fun storeTests(runner: Tests) {
    runner.test("a load that fails takes no graph from those who waited for it") {
        val entry = Bundle.open(DEMO).graph(Role.DENOISER)
        val (loads, closed) = List(2) { AtomicInteger() }
        val graph = object : Graph {
            override fun run(inputs: Map<String, Tensor>, outputs: Map<String, Tensor>) = Unit

            override fun close() {
                closed.incrementAndGet()
            }
        }
        lateinit var store: GraphStore
        val second = FutureTask(Callable { store.acquire(Role.DENOISER) })
        val waiting = Thread(second)
        store = GraphStore(graphsStay = false) { role ->
            if (loads.incrementAndGet() == 1) {
                waiting.start()
                while (waiting.state != Thread.State.BLOCKED) Thread.sleep(1) // for this load
                throw GraphException("no memory")
            }
            CheckedGraph(role, entry, graph)
        }
        val first = FutureTask(Callable { store.acquire(Role.DENOISER) })
        thread { first.run() }
        fails<ExecutionException>("no memory") { first.get() }
        val found = second.get()
        check(store.acquire(Role.DENOISER) === found) { "the third has a graph of its own" }
        store.release(Role.DENOISER)
        equal(closed.get(), 0)
        store.release(Role.DENOISER)
        equal(closed.get(), 1)
        equal(loads.get(), 2)
    }
}
