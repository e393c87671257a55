/**
 * One step of mask-predict sampling as functions of arrays: only masked rows are looked at, one after the other.
 *
 * Numbers are float32, operation by operation, as NumPy computes them.
 */

import { BLOCK, TOGETHER } from "./blocks.js";
import { expSum } from "./exp-sum.js";
import { gumbel, TINY } from "./gumbel.js";
import { type Stream, uniform } from "./philox.js";

const f32 = Math.fround;
const LOG_TINY = f32(Math.log(TINY));

/**
 * Write one row of guided logits, `u + scale * (c - u)`, to `row`.
 *
 * @param unconditional, conditional logits of which the row begins at `at`
 */
export function guide(
  unconditional: Float32Array,
  conditional: Float32Array,
  at: number,
  scale: number,
  row: Float32Array,
): void {
  const factor = f32(scale);
  for (let i = 0; i < row.length; i++) {
    const u = unconditional[at + i];
    row[i] = f32(f32(conditional[at + i] - u) * factor) + u;
  }
}

/** What softmax(row) is made of. */
export interface Softmax {
  readonly peak: number;
  /** Of exp(row - peak), float32; not a number if a logit is none or infinite. */
  readonly sum: number;
  /** For each block of noise, exp(row - peak) of its codes or more; the next softmax writes over it. */
  readonly weights: Float64Array;
}

let scratch = new Float64Array(0);

/** @param first the place in the stream of noise of the row's first code, as in `drawCode` */
export function softmax(row: Float32Array, first: number): Softmax {
  const eights = Math.ceil(row.length / BLOCK);
  if (scratch.length <= eights) {
    scratch = new Float64Array(eights + 1);
  }
  const weights = scratch;
  const peak = peakOf(row);
  const sum = expSum(row, peak, weights);
  if (first % BLOCK > 0) {
    // The row begins within a block, so that each block has parts of two of the row's eights.
    weights[eights] = 0;
    for (let block = eights; block > 0; block--) {
      weights[block] += weights[block - 1];
    }
  }
  return { peak, sum, weights };
}

/** Return the largest value of a row. */
function peakOf(row: Float32Array): number {
  let peak = row[0];
  for (let i = 1; i < row.length; i++) {
    if (row[i] > peak) {
      peak = row[i];
    }
  }
  return peak;
}

/** -log(u) of the largest uniform is more: the least of all. */
const LEAST_RACE = 2 ** -24;

/** What rounding to float32 may change of a logit with its noise: of noise and of small logits, and of each unit. */
const ROUNDING = 2 ** -17;
const ROUNDING_OF_ONE = 2 ** -23;

const chosen = new Int32Array(TOGETHER);

/**
 * Draw a code from softmax(row) by Gumbel-max: the largest of logit + noise, the lowest code on a tie.
 *
 * Noise is -log(-log(u)), so a code beats `best` where -log(u) < exp(logit - best) = exp(logit - peak) * odds. What
 * cannot is left out: blocks for which no u is large enough, once those with the highest logits have set what is to be
 * beaten, and numbers that are too small even for the heaviest block. `drawPlainly` gives the same codes.
 *
 * @param first the place in the stream of the row's first code
 */
export function drawCode(
  row: Float32Array,
  { peak, weights }: Softmax,
  noise: Pick<Stream, "blocks">,
  first: number,
): number {
  const begin = Math.floor(first / BLOCK);
  const missing = first % BLOCK;
  const { order, near } = nearFirst(weights, Math.ceil((missing + row.length) / BLOCK));
  let best = Number.NEGATIVE_INFINITY;
  let odds = Number.POSITIVE_INFINITY;
  let drawn = 0;
  for (let next = 0; next < order.length; ) {
    let count = 0;
    let heaviest = 0;
    for (const end = next < near ? near : order.length; next < end && count < TOGETHER; next++) {
      const weight = weights[order[next]];
      if (!(weight * odds < LEAST_RACE)) {
        chosen[count++] = order[next];
        heaviest = Math.max(heaviest, weight);
      }
    }
    const words = noise.blocks(begin, chosen, count);
    const end = count * BLOCK;
    let least = leastWord(heaviest * odds);
    for (let at = reaching(least, words, 0, end); at < end; at = reaching(least, words, at + 1, end)) {
      const block = chosen[Math.floor(at / BLOCK)];
      const code = block * BLOCK + (at % BLOCK) - missing;
      if (code < 0 || code >= row.length || words[at] < leastWord(weights[block] * odds)) {
        continue;
      }
      const noisy = f32(gumbel(uniform(words[at])) + row[code]);
      if (noisy > best || (noisy === best && code < drawn)) {
        best = noisy;
        drawn = code;
        odds = Math.exp(peak - best + ROUNDING + ROUNDING_OF_ONE * Math.abs(best));
        least = leastWord(heaviest * odds);
      }
    }
  }
  return drawn;
}

/** Blocks with less weight, where the highest logit has 1, are looked at last: one of the others is likelier to win. */
const NEAR = Math.exp(-3);

let places = new Int32Array(0);

/** Return the blocks in the order in which they are looked at, and how many of them are near. */
function nearFirst(weights: Float64Array, count: number): { order: Int32Array; near: number } {
  if (places.length !== count) {
    places = new Int32Array(count);
  }
  const order = places;
  let near = 0;
  let far = count;
  for (let block = 0; block < count; block++) {
    const place = weights[block] >= NEAR ? near++ : --far;
    order[place] = block;
  }
  return { order, near };
}

/** Return a whole 32-bit number below which all give a uniform u whose -log(u), more than 1 - u, exceeds `race`. */
function leastWord(race: number): number {
  return Math.max(0, 2 ** 32 * (1 - race) - 256) >>> 0;
}

/** Return the place of the first word from `at` on that is not below `least`, or `end`. */
function reaching(least: number, words: Uint32Array, at: number, end: number): number {
  let place = at;
  while (place < end && words[place] < least) {
    place++;
  }
  return place;
}

/** The same without leaving anything out: what `drawCode` is compared with. */
export function drawPlainly(row: Float32Array, noise: Float32Array): number {
  let best = Number.NEGATIVE_INFINITY;
  let drawn = 0;
  for (let code = 0; code < row.length; code++) {
    const noisy = f32(gumbel(noise[code]) + row[code]);
    if (noisy > best) {
      best = noisy;
      drawn = code;
    }
  }
  return drawn;
}

/** Return log softmax(row) at a code, float32, not below log(1e-20); NaN if a logit is no number or infinite. */
export function logProbability(row: Float32Array, { peak, sum }: Softmax, code: number): number {
  return Math.max(f32(f32(row[code] - peak) - f32(Math.log(sum))), LOG_TINY);
}

/** Choose the `length` least confident tokens, 1 in the result. Ties break by position, the first is masked. */
export function remask(confidence: Float32Array, length: number): Uint8Array {
  const order = Array.from(confidence.keys()).sort((a, b) => confidence[a] - confidence[b] || a - b);
  const mask = new Uint8Array(confidence.length);
  for (let i = 0; i < length; i++) {
    mask[order[i]] = 1;
  }
  return mask;
}

/**
 * Return each token's confidence: `log p + temperature * gumbel` where it was just drawn, +Infinity where it was known.
 *
 * @param logProbabilities of the drawn tokens, at the positions `rows`
 * @param noise uniforms, one for every position
 */
export function confidences(
  logProbabilities: Float32Array,
  rows: readonly number[],
  noise: Float32Array,
  temperature: number,
): Float32Array {
  const confidence = new Float32Array(noise.length).fill(Number.POSITIVE_INFINITY);
  rows.forEach((position, i) => {
    confidence[position] = logProbabilities[i] + f32(temperature * gumbel(noise[position]));
  });
  return confidence;
}

/**
 * Return confidences that keep tokens by their place in an order: the negative place of what was just drawn, +Infinity
 * where a token was known.
 *
 * @param start the place at which the order begins; it goes round
 */
export function orderConfidences(order: Int32Array, start: number, rows: readonly number[]): Float32Array {
  const places = new Float32Array(order.length);
  for (let place = 0; place < order.length; place++) {
    places[order[(start + place) % order.length]] = place;
  }
  const confidence = new Float32Array(order.length).fill(Number.POSITIVE_INFINITY);
  for (const position of rows) {
    confidence[position] = -places[position];
  }
  return confidence;
}
