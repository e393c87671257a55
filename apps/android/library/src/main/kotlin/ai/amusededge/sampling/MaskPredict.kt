package ai.amusededge.sampling

import ai.amusededge.GenerationException
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.math.exp

/**
 * State after one step of several pictures side by side: one array of h * w values, row by row, for each.
 *
 * @property index this step, from 0, of [steps]
 * @property tokens the mask id where [mask] is set
 * @property predicted the same without a mask, every position as drawn or known
 * @property mask whether masked again after this step; nowhere after the last
 * @property confidence what the least of were masked again: log-probability of the drawn token plus its noise, or the
 * place in the Halton order, negative; infinite where the token was known before
 * @property probability what softmax(logits) gave each token when it was drawn; 1 for those given at the start
 */
public class Step internal constructor(
    public val index: Int,
    public val steps: Int,
    public val tokens: List<IntArray>,
    public val predicted: List<IntArray>,
    public val mask: List<BooleanArray>,
    public val confidence: List<FloatArray>,
    public val probability: List<FloatArray>,
)

/** What a denoiser says of one grid; read by several threads. */
internal fun interface GuidedLogits {
    /** Writes the guided logits of a position to [row]; [scratch] is as long, and written over. */
    fun read(position: Int, row: FloatArray, scratch: FloatArray)
}

/** One picture in the loop; [picture] is the index of its random stream, see [maskLength] for the ratio. */
internal class LoopState(
    val tokens: IntArray,
    val probability: FloatArray,
    val picture: Long,
    val startingMaskRatio: Float,
)

/** What all pictures and steps share. */
internal class LoopRules(
    val seed: Long,
    val settings: SamplerSettings,
    val gridHeight: Int,
    val gridWidth: Int,
    val codebookSize: Int,
    val maskTokenId: Int,
)

/** One picture after a step, as in [Step]. */
internal class Drawn(
    val tokens: IntArray,
    val predicted: IntArray,
    val mask: BooleanArray,
    val confidence: FloatArray,
    val probability: FloatArray,
)

/** Memory of one thread that draws rows. */
private class Desk(codes: Int) {
    val sampler = RowSampler(codes)
    val row = FloatArray(codes)
    val scratch = FloatArray(codes)
}

/**
 * Draws steps of mask-predict: every masked token is drawn, the confident ones stay. It knows tokens and logits; not
 * prompts, graphs or pixels. For one thread at a time, whatever [workers] it has.
 */
internal class StepDrawer(private val rules: LoopRules, private val workers: Workers) {
    private val desks = ArrayDeque<Desk>()
    private val order: IntArray by lazy { haltonOrder(rules.gridHeight, rules.gridWidth) }

    /** @param logits null where no token is masked */
    fun draw(logits: GuidedLogits?, state: LoopState, index: Int): Drawn {
        val predicted = state.tokens.copyOf()
        val probability = state.probability.copyOf()
        val rows = predicted.indices.filter { predicted[it] == rules.maskTokenId }.toIntArray()
        val logProbabilities = FloatArray(rows.size)
        if (logits != null) drawRows(logits, state, index, rows, predicted, logProbabilities)
        rows.forEachIndexed { i, position -> probability[position] = exp(logProbabilities[i].toDouble()).toFloat() }
        val confidence = confidenceOf(logProbabilities, rows, state.picture, index)
        val mask = remask(confidence, leftMasked(state, index, rows.size))
        val tokens = IntArray(predicted.size) { if (mask[it]) rules.maskTokenId else predicted[it] }
        return Drawn(tokens, predicted, mask, confidence, probability)
    }

    private fun drawRows(
        logits: GuidedLogits, state: LoopState, index: Int, rows: IntArray, predicted: IntArray, into: FloatArray,
    ) {
        val codes = rules.codebookSize
        val noise = PhiloxStream(rules.seed, state.picture, index.toLong(), Purpose.TOKENS)
        val finite = AtomicBoolean(true)
        workers.share(rows.size, codes) { from, until ->
            val desk = synchronized(desks) { desks.removeLastOrNull() } ?: Desk(codes)
            for (i in from until until) {
                val position = rows[i]
                logits.read(position, desk.row, desk.scratch)
                val code = desk.sampler.draw(desk.row, noise, position.toLong() * codes)
                predicted[position] = code
                into[i] = desk.sampler.logProbability(desk.row, code)
                if (!into[i].isFinite()) finite.set(false)
            }
            synchronized(desks) { desks.addLast(desk) }
        }
        if (!finite.get()) {
            throw GenerationException(
                "the denoiser returned logits that are not finite at step ${index + 1}; the bundle does not fit this " +
                    "engine; try another engine",
            )
        }
    }

    private fun leftMasked(state: LoopState, index: Int, unknown: Int): Int {
        val (steps) = rules.settings
        if (index == steps - 1) return 0
        val schedule = rules.settings.schedule
        return maskLength(schedule, index, steps, state.tokens.size, unknown, state.startingMaskRatio)
    }

    /** Returns what decides which tokens stay: the most confident, or the next in the Halton order. */
    private fun confidenceOf(logProbabilities: FloatArray, rows: IntArray, picture: Long, step: Int): FloatArray {
        val positions = rules.gridHeight * rules.gridWidth
        val settings = rules.settings
        if (settings.order == Order.CONFIDENCE) {
            val noise = uniforms(positions, PhiloxStream(rules.seed, picture, step.toLong(), Purpose.CONFIDENCE))
            return confidences(logProbabilities, rows, noise, temperatureAt(settings.temperature, step, settings.steps))
        }
        return orderConfidences(order, haltonStart(rules.seed, picture, positions), rows)
    }
}

/** Returns the place in the Halton order at which a picture begins, the same at each of its steps. */
internal fun haltonStart(seed: Long, picture: Long, positions: Int): Int {
    val u = uniforms(1, PhiloxStream(seed, picture, 0, Purpose.ORDER))[0]
    return (u.toDouble() * positions).toInt()
}
