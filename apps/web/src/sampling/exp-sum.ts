/** The sum of a softmax: exponentials rounded to float32, added in the order in which NumPy adds them. */

const f32 = Math.fround;

/** What is smaller than exp of this changes no sum in float32, not 8192 times: the sum is 1 or more. */
const LEAST = -40;
const PER_UNIT = 32;

/** exp(-i / PER_UNIT) */
const TABLE = Float64Array.from({ length: -LEAST * PER_UNIT + 1 }, (_, i) => Math.exp(-i / PER_UNIT));

/** Blocks of this size are added with eight sums side by side. */
const PAIRWISE = 128;

let scratch = new Float32Array(0);

/** Return the sum of exp(row - highest), float32; not a number where one of them is none. */
export function expSum(row: Float32Array, highest: number): number {
  if (scratch.length < row.length) {
    scratch = new Float32Array(row.length);
  }
  for (let i = 0; i < row.length; i++) {
    scratch[i] = exp(f32(row[i] - highest));
  }
  return pairwise(scratch, 0, row.length);
}

/** Return exp(x) for x of 0 or less to 2e-11 of itself, or 0 where that is too small to count; faster than `Math.exp`. */
function exp(x: number): number {
  if (x < LEAST) {
    return 0;
  }
  const place = (-x * PER_UNIT) | 0;
  const r = x + place / PER_UNIT;
  return TABLE[place] * (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120))))));
}

/** Add as NumPy's pairwise summation does. */
function pairwise(values: Float32Array, at: number, count: number): number {
  if (count > PAIRWISE) {
    const half = (count >> 1) - ((count >> 1) % 8);
    return f32(pairwise(values, at, half) + pairwise(values, at + half, count - half));
  }
  if (count < 8) {
    return inTurn(values, at, count, 0);
  }
  let [r0, r1, r2, r3, r4, r5, r6, r7] = values.subarray(at, at + 8);
  let i = at + 8;
  for (const end = at + count - (count % 8); i < end; i += 8) {
    r0 = f32(r0 + values[i]);
    r1 = f32(r1 + values[i + 1]);
    r2 = f32(r2 + values[i + 2]);
    r3 = f32(r3 + values[i + 3]);
    r4 = f32(r4 + values[i + 4]);
    r5 = f32(r5 + values[i + 5]);
    r6 = f32(r6 + values[i + 6]);
    r7 = f32(r7 + values[i + 7]);
  }
  const eight = f32(f32(f32(r0 + r1) + f32(r2 + r3)) + f32(f32(r4 + r5) + f32(r6 + r7)));
  return inTurn(values, i, at + count - i, eight);
}

function inTurn(values: Float32Array, at: number, count: number, start: number): number {
  let sum = start;
  for (let i = at; i < at + count; i++) {
    sum = f32(sum + values[i]);
  }
  return sum;
}
