/** npm run bench: processor time of one step of sampling at 256 positions x 8192 codes, guided, by the logits' spread. */

import { stdout } from "node:process";
import { drawStep, type GuidedLogits } from "../../src/sampling/mask-predict.js";
import { uniforms } from "../../src/sampling/philox.js";
import { guide } from "../../src/sampling/sampler.js";

const POSITIONS = 256;
const CODES = 8192;
const ROUNDS = 6;
const SETTINGS = {
  steps: 12,
  guidanceScale: 2,
  temperature: [2, 0],
  schedule: "cosine",
  guidanceRamp: "constant",
  guidanceInterval: [0, 1],
  order: "confidence",
} as const;

function normal(count: number, deviation: number, picture: bigint): Float32Array {
  const [a, b] = [0, 1].map((purpose) => uniforms(count, { seed: 1n, picture, step: 0, purpose }));
  return a.map((u, i) => deviation * Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * b[i]));
}

for (const deviation of [1, 3, 5, 8, 12]) {
  const unconditional = normal(POSITIONS * CODES, deviation, 0n);
  const conditional = normal(POSITIONS * CODES, deviation / 10, 1n).map((value, i) => value + unconditional[i]);
  const logits: GuidedLogits = (position, row) => guide(unconditional, conditional, position * CODES, 2, row);
  const masked = { tokens: new Int32Array(POSITIONS).fill(8255), probability: new Float32Array(POSITIONS).fill(1) };
  const rules = { seed: 3n, settings: SETTINGS, gridHeight: 16, gridWidth: 16, codebookSize: CODES, maskTokenId: 8255 };
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    drawStep(logits, { ...masked, picture: 0n, startingMaskRatio: 1 }, 0, rules);
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1000);
  }
  stdout.write(`standard deviation ${deviation}: ${Math.min(...times).toFixed(0)} ms\n`);
}
