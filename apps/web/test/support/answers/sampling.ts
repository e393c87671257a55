/** Answers to sets of the sampler: random numbers, schedules, steps and whole loops. */

import assert from "node:assert/strict";
import { halves, keysOf, philoxOfScript, philoxOfWebAssembly, TOGETHER } from "../../../src/sampling/blocks.js";
import { gumbel } from "../../../src/sampling/gumbel.js";
import { haltonOrder } from "../../../src/sampling/halton.js";
import { drawStep, type GuidedLogits, type LoopRules, type LoopState } from "../../../src/sampling/mask-predict.js";
import { guidanceAt as guidanceOf } from "../../../src/sampling/options.js";
import { PURPOSE, uniforms } from "../../../src/sampling/philox.js";
import * as sampler from "../../../src/sampling/sampler.js";
import { guidanceAt, maskLength, maskRatio, temperatureAt } from "../../../src/sampling/schedule.js";
import type { Answer, Values } from "../vectors.js";
import { places, range, settingsOf } from "./given.js";

const UNIT = 2 ** -24;

const floats = (values: (number | null)[]): Float32Array =>
  Float32Array.from(values, (value) => value ?? Number.POSITIVE_INFINITY);
const stream = (given: Values) => ({
  seed: BigInt(given.seed),
  picture: BigInt(given.picture),
  step: Number(given.step ?? 0),
  purpose: given.purpose,
});

/** Blocks of noise that a test chose, in place of a stream's. */
function chosenNoise(numerators: number[]): Parameters<typeof sampler.drawCode>[2] {
  return {
    blocks: (begin, places, count) =>
      Uint32Array.from(range(8 * count), (i) => {
        const place = 8 * (begin + places[Math.floor(i / 8)]) + (i % 8);
        return (((numerators[place] ?? 1) - 1) / 2) << 9;
      }),
  };
}

const philoxWords: Answer = (given) => {
  const pair = (text: string, more = 0n) => halves((BigInt(text) + more) & (2n ** 64n - 1n));
  const counters = new Int32Array(8 * TOGETHER);
  counters.set([pair(given.block, 1n), pair(given.picture), pair(given.step), pair(given.purpose)].flat());
  const keys = keysOf(BigInt(given.seed));
  const [ours, theirs] = [philoxOfScript(), philoxOfWebAssembly() ?? assert.fail()].map((philox) => {
    const words = Array.from(philox(counters, keys, 1).subarray(0, 8), (half) => half.toString(16).padStart(8, "0"));
    return range(4).map((i) => words[2 * i + 1] + words[2 * i]);
  });
  assert.deepEqual(ours, theirs);
  return { words: ours };
};

const draws: Answer = ({ logits, numerators }) => {
  const tokens = logits.map((given: number[], i: number) => {
    const row = floats(given);
    const plain = sampler.drawPlainly(row, floats(numerators[i].map((n: number) => n * UNIT)));
    const fast = sampler.drawCode(row, sampler.softmax(row, 0), chosenNoise(numerators[i]), 0);
    return fast === plain ? fast : [fast, plain];
  });
  return { tokens };
};

/** Write a row of the table of logits that a rule describes. */
function tableRow(rule: Values, step: number, position: number, row: Float32Array): void {
  if ("constant" in rule) {
    row.fill(rule.constant);
    return;
  }
  const name = { seed: BigInt(rule.seed), picture: BigInt(rule.picture), step, purpose: PURPOSE.tokens };
  uniforms(row.length, name, position * row.length).forEach((u, code) => {
    row[code] = (Math.floor(u / UNIT / 2 ** rule.drop) - 2 ** (23 - rule.drop)) / 2 ** (20 - rule.drop);
  });
}

function loop(given: Values, most: number): Values[] {
  const settings = settingsOf(given.settings);
  const [gridHeight, gridWidth] = given.grid;
  const codebookSize = given.codebook_size;
  const maskTokenId = given.mask_token_id;
  const rules: LoopRules = { seed: BigInt(given.seed), settings, gridHeight, gridWidth, codebookSize, maskTokenId };
  let state: LoopState = {
    tokens: Int32Array.from(given.tokens),
    probability: new Float32Array(given.tokens.length).fill(1),
    picture: BigInt(given.picture),
    startingMaskRatio: given.starting_mask_ratio,
  };
  const steps: Values[] = [];
  for (let step = given.first_step; step < settings.steps && steps.length < most; step++) {
    const scale = guidanceOf(settings, step);
    const u = new Float32Array(codebookSize);
    const c = new Float32Array(codebookSize);
    const logits: GuidedLogits = (position, row) => {
      tableRow(given.logits.conditional, step, position, c);
      row.set(c);
      if (scale > 1) {
        tableRow(given.logits.unconditional, step, position, u);
        sampler.guide(u, c, 0, scale, row);
      }
    };
    const drawn = drawStep(logits, state, step, rules);
    steps.push({ step, masked: places(drawn.mask), ...drawn });
    state = { ...state, ...drawn };
  }
  return steps;
}

export const SAMPLING: Readonly<Record<string, Answer>> = {
  "philox-words": philoxWords,
  uniforms: (given) => ({
    numerators: Array.from(uniforms(given.count, stream(given), given.first), (u) => u / UNIT),
  }),
  gumbel: ({ numerators }) => ({ gumbel: numerators.map((n: number) => gumbel(n * UNIT)) }),
  "mask-ratios": ({ schedule, steps }) => ({ ratios: range(steps).map((step) => maskRatio(schedule, step, steps)) }),
  "mask-lengths": (given) => {
    let unknown = given.unknown;
    const lengths = range(given.steps - 1).map((step) => {
      unknown = maskLength(
        given.schedule,
        step,
        given.steps,
        given.sequence_length,
        unknown,
        given.starting_mask_ratio,
      );
      return unknown;
    });
    return { lengths };
  },
  temperatures: ({ temperature, steps }) => ({
    temperatures: range(steps).map((step) => temperatureAt(temperature, step, steps)),
  }),
  "guidance-scales": ({ guidance_scale, guidance_ramp, guidance_interval, steps }) => ({
    scales: range(steps).map((step) => guidanceAt(guidance_scale, guidance_ramp, guidance_interval, step, steps)),
  }),
  "halton-orders": ({ grid }) => ({ order: haltonOrder(grid[0], grid[1]) }),
  "halton-starts": (given) => {
    const [u] = uniforms(1, stream({ ...given, purpose: PURPOSE.order }));
    return { start: Math.floor(u * given.positions) };
  },
  "guided-logits": ({ unconditional, conditional, guidance_scale }) => ({
    logits: unconditional.map((values: number[], i: number) => {
      const row = new Float32Array(values.length);
      sampler.guide(floats(values), floats(conditional[i]), 0, guidance_scale, row);
      return row;
    }),
  }),
  draws,
  "log-probabilities": ({ logits, tokens }) => ({
    log_probabilities: logits.map((given: number[], i: number) => {
      const row = floats(given);
      return sampler.logProbability(row, sampler.softmax(row, 0), tokens[i]);
    }),
  }),
  confidences: ({ log_probabilities, numerators, temperature, rows }) => ({
    confidences: sampler.confidences(
      floats(log_probabilities),
      rows,
      floats(numerators.map((n: number) => n * UNIT)),
      Math.fround(temperature),
    ),
  }),
  "order-confidences": ({ grid, start, rows }) => ({
    confidences: sampler.orderConfidences(haltonOrder(grid[0], grid[1]), start, rows),
  }),
  remasks: ({ confidences, mask_length }) => ({ masked: places(sampler.remask(floats(confidences), mask_length)) }),
  loops: (given) => ({
    steps: loop(given, Number.POSITIVE_INFINITY).map(({ step, predicted, masked, confidence, probability }) => ({
      step,
      predicted,
      masked,
      confidence,
      probability,
    })),
  }),
  "full-steps": (given) => {
    const [{ step, predicted, masked }] = loop(given, 1);
    return { step, predicted, masked };
  },
};
