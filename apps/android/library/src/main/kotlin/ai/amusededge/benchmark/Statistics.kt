package ai.amusededge.benchmark

/** Returns median, 10th and 90th percentile (linear between values, as NumPy's), least and most of some seconds. */
internal fun summary(values: List<Double>): Map<String, Any> {
    val sorted = values.sorted()
    return mapOf(
        "median" to percentile(sorted, 0.5),
        "p10" to percentile(sorted, 0.1),
        "p90" to percentile(sorted, 0.9),
        "count" to sorted.size,
        "least" to sorted.first(),
        "most" to sorted.last(),
    )
}

internal fun median(values: List<Double>): Double = percentile(values.sorted(), 0.5)

/** Returns a ratio over rounds: the median of theirs, and their range; null where there is none. */
internal fun ratioOf(values: Map<Int, Double>, baseline: Map<Int, Double>): Map<String, Any>? {
    val ratios = values.filterKeys { it in baseline }.map { (round, value) -> value / baseline.getValue(round) }
    if (ratios.isEmpty() || !ratios.all { it.isFinite() }) return null
    return mapOf("estimate" to median(ratios), "low" to ratios.min(), "high" to ratios.max(), "rounds" to ratios.size)
}

private fun percentile(sorted: List<Double>, share: Double): Double {
    val place = share * (sorted.size - 1)
    val below = place.toInt()
    val above = minOf(below + 1, sorted.lastIndex)
    return (sorted[below] + (place - below) * (sorted[above] - sorted[below])).coerceIn(sorted[below], sorted[above])
}
