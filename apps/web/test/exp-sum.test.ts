import assert from "node:assert/strict";
import { test } from "node:test";
import { expSum } from "../src/sampling/exp-sum.js";
import { normalLogits } from "./support/sampling.js";

const f32 = Math.fround;

test("the sum of exponentials is that of float64 to the last bits of float32", () => {
  for (const deviation of [0.1, 2, 10, 100]) {
    const row = normalLogits(8192, deviation, 99n);
    const highest = row.reduce((most, value) => Math.max(most, value));
    const exact = row.reduce((sum, value) => sum + Math.exp(f32(value - highest)), 0);
    assert.ok(Math.abs(expSum(row, highest, new Float64Array(1024)) / exact - 1) < 4e-7);
  }
});

test("float32 numbers are added in NumPy's order, of any count", () => {
  let seed = 0;
  const counts = [
    ...Array.from({ length: 20 }, (_, i) => i + 1),
    127,
    128,
    129,
    135,
    136,
    137,
    144,
    255,
    257,
    1021,
    8192,
  ];
  for (const count of [...counts, 128, 128, 128, 128]) {
    const row = normalLogits(count, 2, BigInt(seed++)).map((value) => Math.min(3, Math.round(8 * value) / 8));
    const values = row.map((value) => Math.exp(value - 3));
    const eights = new Float64Array(Math.ceil(count / 8)).fill(Number.NaN);
    assert.equal(expSum(row, 3, eights), pairwise(values), `${count} numbers`);
    for (const [i, eight] of eights.entries()) {
      const exactly = values.subarray(8 * i, 8 * i + 8).reduce((sum, value) => sum + value, 0);
      assert.ok(Math.abs(eight / exactly - 1) < 1e-12, `${count} numbers, ${i}`);
    }
  }
});

/** NumPy's pairwise summation as it is written down. */
function pairwise(values: Float32Array): number {
  if (values.length < 8) {
    return values.reduce((sum, value) => f32(sum + value), 0);
  }
  if (values.length > 128) {
    const half = Math.floor(values.length / 16) * 8;
    return f32(pairwise(values.subarray(0, half)) + pairwise(values.subarray(half)));
  }
  const whole = values.length - (values.length % 8);
  const sums = new Float32Array(8);
  values.subarray(0, whole).forEach((value, i) => {
    sums[i % 8] += value;
  });
  const [a, b, c, d, e, f, g, h] = sums;
  const begun = f32(f32(f32(a + b) + f32(c + d)) + f32(f32(e + f) + f32(g + h)));
  return values.subarray(whole).reduce((sum, value) => f32(sum + value), begun);
}

test("exponentials are those of float64, rounded, as far as -87, and nothing below", () => {
  const exp = (x: number): number => expSum(Float32Array.of(x), 0, new Float64Array(1));
  for (let x = 0; x >= -87; x -= 0.05) {
    assert.equal(exp(x), f32(Math.exp(f32(x))), String(x));
  }
  assert.equal(exp(-87), f32(Math.exp(-87)));
  assert.equal(exp(-87.00001), 0);
  assert.equal(exp(Number.NEGATIVE_INFINITY), 0);
});

test("the sum is no number if a logit is none or infinite", () => {
  assert.ok(Number.isNaN(expSum(Float32Array.of(0, Number.NaN, 1), 1, new Float64Array(1))));
  const infinite = Number.POSITIVE_INFINITY;
  assert.ok(Number.isNaN(expSum(Float32Array.of(infinite, 0), infinite, new Float64Array(1))));
});
