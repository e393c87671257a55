package ai.amusededge.support

import ai.amusededge.GraphException
import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.Role
import ai.amusededge.bundle.dumpJson
import ai.amusededge.bundle.parseJson
import ai.amusededge.engines.Engine
import ai.amusededge.engines.Graph
import ai.amusededge.engines.Tensor
import java.io.DataInputStream
import java.io.File
import java.util.concurrent.atomic.AtomicInteger

/** A Python process that owns ONNX Runtime and Python's own runtime: tests/support/graph_server.py and reference.py. */
internal class Python : AutoCloseable {
    private val process: Process = run {
        val script = File(ROOT, "apps/android/library/src/test/python/reference.py").path
        val python = File(ROOT, ".venv/bin/python").path
        ProcessBuilder(python, script).directory(ROOT).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    }
    private val answers = DataInputStream(process.inputStream.buffered(1 shl 16))
    private val requests = process.outputStream.buffered(1 shl 16)

    /** Asks Python's runtime. */
    fun ask(operation: String, vararg values: Pair<String, Any?>): Any? =
        exchange(mapOf("op" to operation) + values, mapOf(), mapOf())["result"]

    /** Sends a request with tensors, and reads those of the answer into [outputs]. */
    @Synchronized
    fun exchange(request: Map<String, Any?>, inputs: Map<String, Tensor>, outputs: Map<String, Tensor>): Values {
        val tensors = inputs.map { (name, tensor) ->
            mapOf("name" to name, "dtype" to tensor.dtype.id, "shape" to tensor.shape)
        }
        requests.write((dumpJson(request + ("tensors" to tensors), sorted = true) + "\n").toByteArray())
        for (tensor in inputs.values) requests.write(ByteArray(tensor.data.remaining()).also { tensor.data.get(it) })
        requests.flush()
        @Suppress("DEPRECATION") // lines of ASCII
        val line = answers.readLine() ?: throw AssertionError("Python ended with ${process.waitFor()}")
        val answer = Values.of(parseJson(line))
        for (tensor in answer.all("tensors")) {
            val target = outputs[tensor.text("name")]
            val shape = tensor.ints("shape").asList()
            if (target == null || shape != target.shape || tensor.text("dtype") != target.dtype.id) {
                throw AssertionError("the graph returned ${tensor.map}, not ${target?.dtype} ${target?.shape}")
            }
            target.data.put(ByteArray(target.data.remaining()).also(answers::readFully))
        }
        answer["error"]?.let { throw GraphException("$it") }
        return answer
    }

    override fun close() {
        requests.close()
        process.waitFor()
    }
}

/** Runs graphs in that process. */
internal class PipeEngine(private val python: Python) : Engine {
    /** Graphs that are loaded, and the most that were at once; calls of graphs by their role. */
    val loaded = AtomicInteger()
    var most = 0
    val calls = java.util.concurrent.ConcurrentHashMap<Role, AtomicInteger>()

    /** Called before each call of a graph. */
    @Volatile
    var onRun: (Role) -> Unit = {}

    override fun load(bundle: Bundle, role: Role): Graph {
        val number = NUMBERS.incrementAndGet()
        val request = mapOf("op" to "load", "graph" to number, "bundle" to bundle.folder.path, "role" to role.id)
        python.exchange(request, mapOf(), mapOf())
        synchronized(this) { most = maxOf(most, loaded.incrementAndGet()) }
        return object : Graph {
            override fun run(inputs: Map<String, Tensor>, outputs: Map<String, Tensor>) {
                onRun(role)
                calls.getOrPut(role) { AtomicInteger() }.incrementAndGet()
                python.exchange(mapOf("op" to "run", "graph" to number), inputs, outputs)
            }

            override fun close() {
                loaded.decrementAndGet()
                python.exchange(mapOf("op" to "close", "graph" to number), mapOf(), mapOf())
            }
        }
    }

    private companion object {
        val NUMBERS = AtomicInteger()
    }
}

/** Loads whatever it is given, and runs nothing. */
internal object IdleEngine : Engine {
    override fun load(bundle: Bundle, role: Role): Graph = object : Graph {
        override fun run(inputs: Map<String, Tensor>, outputs: Map<String, Tensor>) = error("no graph is run here")

        override fun close() = Unit
    }
}
