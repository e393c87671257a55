package ai.amusededge.engines

import ai.amusededge.BundleException
import ai.amusededge.GraphException
import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.Dimension
import ai.amusededge.bundle.GraphEntry
import ai.amusededge.bundle.Role
import ai.amusededge.quoted

/** Computes graphs. The one that is here uses ONNX Runtime, [ai.amusededge.engines.ort.OrtEngine]. */
public interface Engine {
    /**
     * Loads the graph of a role.
     *
     * @throws GraphException the engine cannot
     */
    public fun load(bundle: Bundle, role: Role): Graph
}

/** A loaded graph, which one thread at a time calls. */
public interface Graph : AutoCloseable {
    /**
     * Runs it: [inputs] by name are read, [outputs] by name are written.
     *
     * @throws GraphException the engine failed
     */
    public fun run(inputs: Map<String, Tensor>, outputs: Map<String, Tensor>)

    /** Releases what the engine holds. */
    override fun close()
}

/** Loads the graph of a role, for any number of rows. */
internal fun loadGraph(engine: Engine, bundle: Bundle, role: Role): CheckedGraph {
    val target = bundle.manifest.target
    if (target != "onnx") {
        throw BundleException(
            "bundle ${bundle.folder} has the target ${quoted(target)}, which this amused-edge cannot run; export it " +
                "for ONNX",
        )
    }
    checkExternalData(bundle, role)
    return CheckedGraph(role, bundle.graph(role), engine.load(bundle, role))
}

/** A graph that is given what its manifest says, one row at a time where it takes no more. */
internal class CheckedGraph(private val role: Role, private val entry: GraphEntry, private val graph: Graph) :
    AutoCloseable {
    private var closed = false

    /** Returns the graph's inputs and outputs for so many rows, to be used again and again. */
    fun outputs(rows: Int): Map<String, Tensor> = entry.outputs.associate { spec ->
        val shape = spec.shape.mapIndexed { axis, side ->
            when {
                axis == 0 -> rows
                side is Dimension.Fixed -> side.size
                else -> throw GraphException("${role.id}: ${spec.name} has no fixed size; export the bundle again")
            }
        }
        spec.name to Tensor(DType.of(spec.dtype), shape)
    }

    /** Returns the tensor of an input for so many rows. */
    fun input(name: String, rows: Int): Tensor {
        val spec = entry.inputs.firstOrNull { it.name == name }
            ?: throw GraphException("${role.id} has no input $name; export the bundle again")
        val shape = spec.shape.drop(1).map {
            (it as? Dimension.Fixed)?.size
                ?: throw GraphException("${role.id}: $name has no fixed size; export the bundle again")
        }
        return Tensor(DType.of(spec.dtype), listOf(rows) + shape)
    }

    /** Runs the graph and returns outputs that nobody else has. */
    fun run(inputs: Map<String, Tensor>): Map<String, Tensor> =
        outputs(inputs.values.first().shape[0]).also { run(inputs, it) }

    @Synchronized
    fun run(inputs: Map<String, Tensor>, outputs: Map<String, Tensor>) {
        if (closed) throw GraphException("${role.id} was closed; open a new pipeline")
        checkInputs(inputs)
        val rows = inputs.values.first().shape[0]
        if (!entry.isStatic || rows == 1) return graph.run(inputs, outputs)
        for (row in 0 until rows) {
            val (given, taken) = listOf(inputs, outputs).map { all -> all.mapValues { it.value.rows(row, row + 1) } }
            graph.run(given, taken)
        }
    }

    @Synchronized
    override fun close() {
        if (!closed) graph.close()
        closed = true
    }

    private fun checkInputs(inputs: Map<String, Tensor>) {
        val expected = entry.inputs.map { it.name }
        if (inputs.keys != expected.toSet()) {
            throw GraphException("${role.id} takes ${quoted(expected)}, it was given ${quoted(inputs.keys)}")
        }
        val rows = inputs.values.first().shape[0]
        for (spec in entry.inputs) {
            val given = inputs.getValue(spec.name)
            val wanted = spec.shape.drop(1).map { (it as? Dimension.Fixed)?.size }
            if (given.shape != listOf(rows) + wanted || given.dtype.id != spec.dtype) {
                throw GraphException(
                    "${role.id}: ${spec.name} is ${given.dtype.id} ${quoted(given.shape)}, the graph takes " +
                        "${spec.dtype} ${quoted(wanted)} a row",
                )
            }
        }
    }
}
