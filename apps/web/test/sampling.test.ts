import assert from "node:assert/strict";
import { test } from "node:test";
import { OptionsError, StateError } from "../src/errors.js";
import { expSum } from "../src/sampling/exp-sum.js";
import { gumbel, LARGEST_NOISE, noiseBound } from "../src/sampling/gumbel.js";
import { type GenerationOptions, type SamplerSettings, settingsOf } from "../src/sampling/options.js";
import { Stream, uniform, uniforms } from "../src/sampling/philox.js";
import { drawCode, drawPlainly } from "../src/sampling/sampler.js";
import { parametersFromText } from "../src/tasks/parameters.js";

const NAME = { seed: 11n, picture: 2n, step: 3, purpose: 0 };

/** Return logits with this standard deviation, from a stream of their own. */
function logits(count: number, deviation: number, picture: bigint): Float32Array {
  const [a, b] = [0, 1].map((purpose) => uniforms(count, { seed: 5n, picture, step: 0, purpose }));
  return a.map((u, i) => deviation * Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * b[i]));
}

test("leaving out what cannot win draws the same codes as the plain way, of any spread and at any place", () => {
  const stream = new Stream(NAME);
  let row = 0;
  for (const codes of [1, 7, 8, 9, 256, 1021, 8192]) {
    for (const deviation of [0, 0.5, 3, 8, 30, 1000]) {
      for (let repeat = 0; repeat < (codes > 1000 ? 2 : 8); repeat++, row++) {
        const values = logits(codes, deviation, BigInt(row));
        const first = row * 1003;
        const expected = drawPlainly(values, uniforms(codes, NAME, first));
        assert.equal(drawCode(values, stream, first), expected, `${codes} codes, deviation ${deviation}, row ${row}`);
      }
    }
  }
});

test("ties go to the lowest code, also where it is looked at last", () => {
  const noise = { block: (_: number, words: Uint32Array | Int32Array) => words.fill(1 << 31) };
  const row = new Float32Array(64).fill(-5);
  row.set([2, 2], 20);
  row[50] = 2;
  assert.equal(drawCode(row, noise, 3), 20);
});

test("no noise is above its bound", () => {
  for (let half = 0; half < 2 ** 32; half += 65_521 * 7) {
    const bound = noiseBound(half);
    assert.ok(gumbel(uniform(half)) <= bound && bound <= LARGEST_NOISE);
  }
  assert.ok(gumbel(uniform(2 ** 32 - 1)) <= LARGEST_NOISE);
});

test("the sum of exponentials is that of float64 to the last bits of float32", () => {
  for (const deviation of [0.1, 2, 10, 100]) {
    const row = logits(8192, deviation, 99n);
    const highest = row.reduce((most, value) => Math.max(most, value));
    const exact = row.reduce((sum, value) => sum + Math.exp(Math.fround(value - highest)), 0);
    assert.ok(Math.abs(expSum(row, highest) / exact - 1) < 4e-7);
  }
  assert.ok(Number.isNaN(expSum(Float32Array.of(0, Number.NaN, 1), 1)));
  assert.ok(Number.isNaN(expSum(Float32Array.of(Number.POSITIVE_INFINITY, 0), Number.POSITIVE_INFINITY)));
});

test("what only another runtime can do is refused", () => {
  const defaults: SamplerSettings = {
    steps: 12,
    guidanceScale: 10,
    temperature: [2, 0],
    schedule: "cosine",
    guidanceRamp: "constant",
    guidanceInterval: [0, 1],
    order: "confidence",
  };
  const given = (options: object) => settingsOf(options as GenerationOptions, defaults);
  assert.deepEqual(
    given({ entropyBound: undefined, signal: new AbortController().signal, onStep: () => {} }),
    defaults,
  );
  for (const name of ["entropyBound", "entropy_bound", "guidance_scale"]) {
    assert.throws(
      () => given({ [name]: 2.5 }),
      (error) => error instanceof OptionsError && error.message.includes(`"${name}"`),
    );
  }
  const drawn = { format: "amused-edge picture", version: 3, settings: { steps: 12, entropy_bound: 2.5 } };
  assert.throws(
    () => parametersFromText(JSON.stringify(drawn)),
    (error) => error instanceof StateError && error.message.includes("another format or version"),
  );
});
