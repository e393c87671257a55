package ai.amusededge.drawing

import ai.amusededge.GraphException
import ai.amusededge.bundle.Geometry
import ai.amusededge.engines.CheckedGraph
import ai.amusededge.engines.Tensor
import ai.amusededge.sampling.GuidedLogits
import ai.amusededge.sampling.guide

/**
 * The denoiser with the memory of one run: tokens and logits are written in place at each step, and the conditioning is
 * handed over as it is.
 *
 * @param rows 2 where a step may be guided, else 1
 */
internal class Denoiser(private val graph: CheckedGraph, private val geometry: Geometry, private val rows: Int) {
    private val tokens = graph.input("tokens", rows)
    private val outputs = graph.outputs(rows)
    private val logits: Tensor = outputs["logits"]
        ?: throw GraphException("the denoiser has no output logits; export the bundle again")

    init {
        if (logits.size != rows * geometry.positions * geometry.codebookSize) {
            throw GraphException("the denoiser's logits have the shape ${logits.shape}; verify the bundle")
        }
    }

    /**
     * Runs the denoiser on one grid. What it says is to be read before the next call.
     *
     * @param conditioning of [negative prompt, prompt], or of the prompt alone
     * @param scale above 1, both are asked; else the prompt alone
     */
    fun logitsOf(grid: IntArray, conditioning: Tensors, scale: Double): GuidedLogits {
        val codes = geometry.codebookSize
        if (scale <= 1) {
            tokens.put(grid)
            val alone = conditioning.mapValues { (_, all) -> all.rows(all.shape[0] - 1, all.shape[0]) }
            graph.run(alone + ("tokens" to tokens.rows(0, 1)), outputs.mapValues { it.value.rows(0, 1) })
            val values = logits.data.asFloatBuffer()
            return GuidedLogits { position, row, _ -> values.duplicate().apply { position(position * codes) }.get(row) }
        }
        tokens.put(grid)
        tokens.put(grid, grid.size)
        graph.run(conditioning + ("tokens" to tokens), outputs)
        val values = logits.data.asFloatBuffer()
        return GuidedLogits { position, row, scratch ->
            values.duplicate().apply { position(position * codes) }.get(scratch)
            values.duplicate().apply { position((grid.size + position) * codes) }.get(row)
            guide(scratch, row, scale.toFloat())
        }
    }
}
