/**
 * npm run bench: time of one step of sampling at 256 positions x 8192 codes, guided, by the logits' spread: the first
 * step, with all masked, and the last one. `-- --script` does without WebAssembly.
 */

import { argv, stdout } from "node:process";
import { drawStep, type GuidedLogits } from "../../src/sampling/mask-predict.js";
import { guide } from "../../src/sampling/sampler.js";
import { DEFAULTS, normalLogits } from "../support/sampling.js";

const POSITIONS = 256;
const CODES = 8192;
const ROUNDS = 30;
const LAST = 8;
const SETTINGS = { ...DEFAULTS, guidanceScale: 2 };

/** Return the least and the middle one of times of a step of which so many are masked, in ms. */
function timed(logits: GuidedLogits, masked: number, step: number): string {
  const rules = { seed: 3n, settings: SETTINGS, gridHeight: 16, gridWidth: 16, codebookSize: CODES, maskTokenId: 8255 };
  const tokens = Int32Array.from({ length: POSITIONS }, (_, i) => (i < masked ? rules.maskTokenId : 0));
  const state = { tokens, probability: new Float32Array(POSITIONS).fill(1), picture: 0n, startingMaskRatio: 1 };
  const times = Array.from({ length: ROUNDS }, () => {
    const before = performance.now();
    drawStep(logits, state, step, rules);
    return performance.now() - before;
  }).sort((a, b) => a - b);
  return `${times[0].toFixed(1)} ms, mostly ${times[ROUNDS / 2].toFixed(1)}`;
}

if (argv.includes("--script")) {
  Object.assign(globalThis, { WebAssembly: undefined });
}
for (const deviation of [0, 1, 2, 4, 8, 12]) {
  const unconditional = normalLogits(POSITIONS * CODES, deviation, 0n);
  const conditional = normalLogits(POSITIONS * CODES, deviation / 10, 1n).map((value, i) => value + unconditional[i]);
  const logits: GuidedLogits = (position, row) => guide(unconditional, conditional, position * CODES, 2, row);
  const [first, last] = [timed(logits, POSITIONS, 0), timed(logits, LAST, SETTINGS.steps - 1)];
  stdout.write(`standard deviation ${deviation}: first step ${first}; last step ${last}\n`);
}
