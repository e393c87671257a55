/** Percentiles and ratios, as Python's benchmarks tell them. */

export interface Summary {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  readonly count: number;
  readonly least: number;
  readonly most: number;
}

export interface Ratio {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
}

/** Summarise values; percentiles are linear between them, as NumPy's. */
export function summary(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const percentile = (share: number): number => {
    const place = share * (sorted.length - 1);
    const low = Math.floor(place);
    const above = sorted[Math.min(low + 1, sorted.length - 1)];
    return sorted[low] + (above - sorted[low]) * (place - low);
  };
  return {
    median: percentile(0.5),
    p10: percentile(0.1),
    p90: percentile(0.9),
    count: sorted.length,
    least: sorted[0],
    most: sorted[sorted.length - 1],
  };
}

/** Return the median of the rounds' ratios, and their range; null where no round has both. */
export function ratio(
  values: ReadonlyMap<number, readonly number[]>,
  baseline: ReadonlyMap<number, readonly number[]>,
): Ratio | null {
  const ratios = [...values].flatMap(([round, found]) => {
    const other = baseline.get(round);
    return other && summary(other).median > 0 ? [summary(found).median / summary(other).median] : [];
  });
  if (!ratios.length) return null;
  const { median, least, most, count } = summary(ratios);
  return { estimate: median, low: least, high: most, rounds: count };
}
