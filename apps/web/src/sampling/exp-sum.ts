/** The sum of a softmax: exponentials rounded to float32, added in the order in which NumPy adds them. */

/** Numbers that are added with eight sums side by side. */
const PAIRWISE = 128;

/**
 * Return the sum of exp(row - highest), float32; not a number where one of them is none.
 *
 * @param eights where the sum of each eight of them is written, roughly
 */
export function expSum(row: Float32Array, highest: number, eights: Float64Array): number {
  return pairwise(row, highest, eights, 0, row.length);
}

/** Add as NumPy's pairwise summation does. */
function pairwise(row: Float32Array, highest: number, eights: Float64Array, at: number, count: number): number {
  if (count <= PAIRWISE) {
    return few(row, highest, eights, at, count);
  }
  const half = (count >> 1) - ((count >> 1) % 8);
  return Math.fround(
    pairwise(row, highest, eights, at, half) + pairwise(row, highest, eights, at + half, count - half),
  );
}

/** The sum of at most PAIRWISE numbers; its arrays are within a function for the reason of `philoxOfScript`. */
const few = (() => {
  const f32 = Math.fround;
  const size = PAIRWISE;
  const values = new Float32Array(size);

  /** Below exp of this, float32 has few digits and slow ones; the sum, which is 1 or more, does without. */
  const least = -87;
  /** exp(-i / 32) and exp(-i / 2048) */
  const coarse = Float64Array.from({ length: -least * 32 + 1 }, (_, i) => Math.exp(-i / 32));
  const fine = Float64Array.from({ length: 64 }, (_, i) => Math.exp(-i / 2048));

  /** Return exp(x) for x of 0 or less to 2e-11 of itself, or 0; faster than `Math.exp`. */
  function exp(x: number): number {
    if (x < least) {
      return 0;
    }
    const place = (x * -2048) | 0;
    const r = x + place * (1 / 2048);
    return coarse[place >> 6] * (fine[place & 63] * (1 + r + 0.5 * r * r));
  }

  return (row: Float32Array, highest: number, eights: Float64Array, at: number, count: number): number => {
    for (let i = 0; i < size && i < count; i++) {
      values[i] = exp(f32(row[at + i] - highest));
    }
    let r0 = 0;
    let r1 = 0;
    let r2 = 0;
    let r3 = 0;
    let r4 = 0;
    let r5 = 0;
    let r6 = 0;
    let r7 = 0;
    let i = 0;
    for (; i < size && i < count - 7; i += 8) {
      const v0 = values[i];
      const v1 = values[i + 1];
      const v2 = values[i + 2];
      const v3 = values[i + 3];
      const v4 = values[i + 4];
      const v5 = values[i + 5];
      const v6 = values[i + 6];
      const v7 = values[i + 7];
      eights[(at + i) >>> 3] = v0 + v1 + (v2 + v3) + (v4 + v5 + (v6 + v7));
      r0 = f32(r0 + v0);
      r1 = f32(r1 + v1);
      r2 = f32(r2 + v2);
      r3 = f32(r3 + v3);
      r4 = f32(r4 + v4);
      r5 = f32(r5 + v5);
      r6 = f32(r6 + v6);
      r7 = f32(r7 + v7);
    }
    let sum = f32(f32(f32(r0 + r1) + f32(r2 + r3)) + f32(f32(r4 + r5) + f32(r6 + r7)));
    if (i < count) {
      eights[(at + i) >>> 3] = 0;
    }
    for (; i < count; i++) {
      eights[(at + i) >>> 3] += values[i];
      sum = f32(sum + values[i]);
    }
    return sum;
  };
})();
