package ai.amusededge.sampling

import ai.amusededge.OptionsException
import ai.amusededge.bundle.Fields
import ai.amusededge.bundle.asFloat
import ai.amusededge.quoted
import ai.amusededge.realNumber
import ai.amusededge.wholeNumber
import java.math.BigInteger

private const val STEPS_LIMIT = 10_000

/** How many tokens stay masked after each step; [id] is the name in files. */
public enum class Schedule(public val id: String) { COSINE("cosine"), LINEAR("linear") }

/** How guidance grows over the steps; [id] is the name in files. */
public enum class GuidanceRamp(public val id: String) { CONSTANT("constant"), LINEAR("linear"), COSINE("cosine") }

/**
 * Which tokens stay: the most confident, as in the reference, or those that a Halton sequence reaches next, which takes
 * no temperature. [id] is the name in files.
 */
public enum class Order(public val id: String) { CONFIDENCE("confidence"), HALTON("halton") }

/** Of the confidences, 0 to 1e6: from the first step to the last. */
public sealed interface Temperature {
    /** From [first] to [last]. */
    public data class Range(val first: Double, val last: Double) : Temperature

    /** One number T stands for T to 0.01, as in the reference. */
    public data class Scalar(val value: Double) : Temperature
}

/** Shares of the run, 0 to 1, between which guidance is on. A step outside it is cheaper. */
public data class GuidanceInterval(val begin: Double = 0.0, val end: Double = 1.0) {
    init {
        realNumber("guidance_interval", begin)
        realNumber("guidance_interval", end)
        if (begin > end || end > 1) {
            throw OptionsException("guidance_interval is ($begin, $end); its shares must rise within 0 to 1")
        }
    }
}

/**
 * Complete settings of the loop. A bundle's manifest carries its own.
 *
 * @property steps calls of the denoiser, 1 to 10,000
 * @property guidanceScale classifier-free guidance, 0 to 1e6; the unconditional branch runs only above 1
 * @throws OptionsException a value is out of range
 */
public data class SamplerSettings(
    val steps: Int = 12,
    val guidanceScale: Double = 10.0,
    val temperature: Temperature = Temperature.Range(2.0, 0.0),
    val schedule: Schedule = Schedule.COSINE,
    val guidanceRamp: GuidanceRamp = GuidanceRamp.CONSTANT,
    val guidanceInterval: GuidanceInterval = GuidanceInterval(),
    val order: Order = Order.CONFIDENCE,
) {
    init {
        wholeNumber("steps", steps, 1, STEPS_LIMIT)
        realNumber("guidance_scale", guidanceScale)
        when (temperature) {
            is Temperature.Scalar -> realNumber("temperature", temperature.value)
            is Temperature.Range -> {
                realNumber("temperature", temperature.first)
                realNumber("temperature", temperature.last)
            }
        }
    }

    /** The guidance scale of a step, from 0; the unconditional branch runs where it is above 1. */
    public fun guidanceAt(step: Int): Double =
        guidanceAt(guidanceScale, guidanceRamp, guidanceInterval, step, steps)

    /** Whether the unconditional branch runs at any step. */
    public val isGuided: Boolean get() = (0 until steps).any { guidanceAt(it) > 1 }
}

/**
 * What a caller asks of the loop; null takes the bundle's own.
 *
 * @property seed any 64 bits. The same seed gives the same picture.
 */
public data class GenerationOptions(
    val seed: ULong = 0uL,
    val steps: Int? = null,
    val guidanceScale: Double? = null,
    val temperature: Temperature? = null,
    val schedule: Schedule? = null,
    val guidanceRamp: GuidanceRamp? = null,
    val guidanceInterval: GuidanceInterval? = null,
    val order: Order? = null,
) {
    /** Fills what was left open from [defaults]. */
    public fun settings(defaults: SamplerSettings): SamplerSettings = SamplerSettings(
        steps ?: defaults.steps,
        guidanceScale ?: defaults.guidanceScale,
        temperature ?: defaults.temperature,
        schedule ?: defaults.schedule,
        guidanceRamp ?: defaults.guidanceRamp,
        guidanceInterval ?: defaults.guidanceInterval,
        order ?: defaults.order,
    )
}

/** Returns the options that are these settings. */
internal fun optionsOf(seed: ULong, s: SamplerSettings): GenerationOptions = GenerationOptions(
    seed, s.steps, s.guidanceScale, s.temperature, s.schedule, s.guidanceRamp, s.guidanceInterval, s.order,
)

/** Parses settings; whole numbers count as others where these may be. */
internal fun readSettings(fields: Fields): SamplerSettings = SamplerSettings(
    steps = readSteps(fields.raw("steps")),
    guidanceScale = number("guidance_scale", fields.raw("guidance_scale")),
    temperature = readTemperature(fields.raw("temperature")),
    schedule = choice("schedule", fields.raw("schedule"), Schedule.values()) { it.id },
    guidanceRamp = choice("guidance_ramp", fields.raw("guidance_ramp"), GuidanceRamp.values()) { it.id },
    guidanceInterval = pair("guidance_interval", fields.raw("guidance_interval"))
        .let { GuidanceInterval(it.first, it.second) },
    order = choice("order", fields.raw("order"), Order.values()) { it.id },
)

private fun readSteps(value: Any?): Int {
    val steps = value as? BigInteger ?: throw OptionsException("steps is ${quoted(value)}; it must be a whole number")
    if (steps.bitLength() > 31) {
        throw OptionsException("steps is ${quoted(steps)}; it must be between 1 and $STEPS_LIMIT")
    }
    return steps.toInt()
}

private fun readTemperature(value: Any?): Temperature =
    if (value is List<*>) pair("temperature", value).let { Temperature.Range(it.first, it.second) }
    else Temperature.Scalar(number("temperature", value))

private fun pair(name: String, value: Any?): Pair<Double, Double> {
    val values = value as? List<*>
    if (values == null || values.size != 2) throw OptionsException("$name is ${quoted(value)}; give a pair of numbers")
    return number(name, values[0]) to number(name, values[1])
}

private fun number(name: String, value: Any?): Double =
    realNumber(name, asFloat(value) ?: throw OptionsException("$name is ${quoted(value)}; it must be a number"))

internal fun <T> choice(name: String, value: Any?, all: Array<T>, id: (T) -> String): T =
    all.firstOrNull { id(it) == value }
        ?: throw OptionsException("$name is ${quoted(value)}; choose one of: ${all.joinToString { id(it) }}")

/** Returns settings as JSON. */
internal fun settingsToJson(settings: SamplerSettings): Map<String, Any?> = mapOf(
    "steps" to settings.steps,
    "guidance_scale" to settings.guidanceScale,
    "temperature" to when (val t = settings.temperature) {
        is Temperature.Scalar -> t.value
        is Temperature.Range -> listOf(t.first, t.last)
    },
    "schedule" to settings.schedule.id,
    "guidance_ramp" to settings.guidanceRamp.id,
    "guidance_interval" to listOf(settings.guidanceInterval.begin, settings.guidanceInterval.end),
    "order" to settings.order.id,
)
