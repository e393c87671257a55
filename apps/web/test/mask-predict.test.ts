import assert from "node:assert/strict";
import { test } from "node:test";
import { GenerationError } from "../src/errors.js";
import { drawStep, type LoopState, maskPredict, type Step } from "../src/sampling/mask-predict.js";
import { uniforms } from "../src/sampling/philox.js";
import { drawPlainly } from "../src/sampling/sampler.js";
import { DEFAULTS, normalLogits } from "./support/sampling.js";

test("a step draws each picture of several as the plain way does", () => {
  const [positions, codes] = [12, 37];
  const settings = { ...DEFAULTS, temperature: [0, 1e6] as const };
  const rules = { seed: 3n, settings, gridHeight: 3, gridWidth: 4, codebookSize: codes, maskTokenId: 99 };
  for (const picture of [0n, 1n, 2n ** 63n]) {
    const rows = Array.from({ length: positions }, (_, i) => normalLogits(codes, 2, picture + BigInt(i)));
    const tokens = Int32Array.from({ length: positions }, (_, i) => (i % 4 === 1 ? i : 99));
    const state = { tokens, probability: new Float32Array(positions).fill(1), picture, startingMaskRatio: 1 };
    const drawn = drawStep((position, row) => row.set(rows[position]), state, 5, rules);
    const expected = tokens.map((token, i) =>
      token === 99
        ? drawPlainly(rows[i], uniforms(codes, { seed: 3n, picture, step: 5, purpose: 0 }, i * codes))
        : token,
    );
    assert.deepEqual(drawn.predicted, expected);
  }
});

const CODES = 11;
const MASK = 99;
const RULES = {
  seed: 7n,
  settings: { ...DEFAULTS, steps: 4 },
  gridHeight: 2,
  gridWidth: 5,
  codebookSize: CODES,
  maskTokenId: MASK,
};

/** Logits that depend on the picture, the step and the position. */
const logitsOf = (picture: number, step: number) => (position: number, row: Float32Array) =>
  row.set(normalLogits(CODES, 2, BigInt(1000 * picture + 100 * step + position)));

const begun = (tokens: (position: number) => number, picture: bigint): LoopState => ({
  tokens: Int32Array.from({ length: 10 }, (_, position) => tokens(position)),
  probability: new Float32Array(10).fill(1),
  picture,
  startingMaskRatio: 1,
});

async function run(states: LoopState[], firstStep?: number): Promise<{ steps: Step[]; asked: unknown[] }> {
  const [steps, asked]: [Step[], unknown[]] = [[], []];
  const denoise = async (picture: number, step: number, tokens: Int32Array) => {
    asked.push([picture, step, tokens]);
    return logitsOf(picture, step);
  };
  for await (const step of maskPredict(denoise, states, RULES, firstStep)) {
    steps.push(step);
  }
  return { steps, asked };
}

test("the loop draws pictures side by side as each alone, and asks nothing of one that is known", async () => {
  const states = [begun(() => MASK, 0n), begun((position) => position, 1n), begun((i) => (i < 6 ? MASK : 3), 5n)];
  const { steps, asked } = await run(states);
  assert.deepEqual(
    steps.map(({ index, steps }) => [index, steps]),
    [0, 1, 2, 3].map((index) => [index, 4]),
  );
  const alone = [...states];
  const expected: unknown[] = [];
  for (const step of steps) {
    for (const place of [0, 1, 2]) {
      const state = alone[place];
      if (place !== 1) {
        expected.push([place, step.index, state.tokens]);
      }
      const drawn = drawStep(place === 1 ? undefined : logitsOf(place, step.index), state, step.index, RULES);
      for (const name of ["tokens", "predicted", "mask", "confidence", "probability"] as const) {
        assert.deepEqual(step[name][place], drawn[name], `${name} of picture ${place} at step ${step.index}`);
      }
      alone[place] = { ...state, ...drawn };
    }
  }
  assert.deepEqual(asked, expected);
  assert.deepEqual(steps[3].tokens[1], states[1].tokens);
  assert.deepEqual(states[0].tokens, new Int32Array(10).fill(MASK), "what the caller gave is left as it was");
});

test("the loop goes on from a step as if it had not stopped", async () => {
  const states = [begun(() => MASK, 0n)];
  const { steps } = await run(states);
  const second = { ...states[0], tokens: steps[1].tokens[0], probability: steps[1].probability[0] };
  assert.deepEqual((await run([second], 2)).steps, steps.slice(2));
  assert.deepEqual((await run([second], 4)).steps, []);
});

test("a token has the probability that softmax gave it when it was drawn, one that was known keeps its own", () => {
  const state = { ...begun((position) => (position < 5 ? MASK : 4), 0n), probability: new Float32Array(10).fill(0.5) };
  const { predicted, probability, confidence, mask } = drawStep(logitsOf(0, 0), state, 0, RULES);
  for (let position = 0; position < 10; position++) {
    const row = new Float32Array(CODES);
    logitsOf(0, 0)(position, row);
    const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
    const expected = position < 5 ? Math.exp(row[predicted[position]]) / total : 0.5;
    assert.ok(Math.abs(probability[position] / expected - 1) < 1e-5);
    assert.equal(confidence[position] === Number.POSITIVE_INFINITY, position >= 5);
    assert.ok(position < 5 || !mask[position]);
  }
  assert.deepEqual([...predicted.slice(5)], [4, 4, 4, 4, 4]);
});

test("logits that are no numbers or infinite end the run, and it is said at which step", () => {
  const state = begun(() => MASK, 0n);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    for (const step of [0, 3]) {
      assert.throws(
        () => drawStep((position, row) => row.fill(position === 7 ? value : 0), state, step, RULES),
        (error) => error instanceof GenerationError && error.message.includes(`at step ${step + 1};`),
      );
    }
  }
});
