/**
 * One step of mask-predict sampling as functions of arrays: only masked rows are looked at, one after the other.
 *
 * Numbers are float32, operation by operation, as NumPy computes them.
 */

import { expSum } from "./exp-sum.js";
import { gumbel, LARGEST_NOISE, noiseBound, TINY } from "./gumbel.js";
import { BLOCK, type Stream, uniform } from "./philox.js";

const f32 = Math.fround;
const LOG_TINY = f32(Math.log(TINY));

const words = new Uint32Array(BLOCK);

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

/** Logits this far below the highest are looked at first: one of them is the likeliest to win. */
const NEAR = 3;

let peaks = new Float32Array(0);

/**
 * Draw a code from softmax(row) by Gumbel-max: the largest of logit + noise, the lowest code on a tie.
 *
 * What cannot win is left out: blocks of codes whose logits are too small for any noise, once those with the highest
 * logits have set what is to be beaten, and codes whose noise is bounded below it. `drawPlainly` gives the same codes.
 *
 * @param first the place in the stream of the row's first code
 */
export function drawCode(row: Float32Array, stream: Pick<Stream, "block">, first: number): number {
  const begin = Math.floor(first / BLOCK);
  const skipped = first - begin * BLOCK;
  const count = Math.ceil((skipped + row.length) / BLOCK);
  const near = blockPeaks(row, skipped, count) - NEAR;
  let best = Number.NEGATIVE_INFINITY;
  let drawn = 0;
  for (const late of [false, true]) {
    for (let block = 0; block < count; block++) {
      if (peaks[block] >= near === late || f32(peaks[block] + LARGEST_NOISE) < best) {
        continue;
      }
      stream.block(begin + block, words);
      const from = block * BLOCK - skipped;
      const end = Math.min(from + BLOCK, row.length);
      for (let code = Math.max(from, 0); code < end; code++) {
        const half = words[code - from];
        if (f32(row[code] + noiseBound(half)) < best) {
          continue;
        }
        const noisy = f32(gumbel(uniform(half)) + row[code]);
        if (noisy > best || (noisy === best && code < drawn)) {
          best = noisy;
          drawn = code;
        }
      }
    }
  }
  return drawn;
}

/** Write the largest logit of each block of noise to `peaks`, and return the largest of all. */
function blockPeaks(row: Float32Array, skipped: number, count: number): number {
  if (peaks.length < count) {
    peaks = new Float32Array(count);
  }
  let highest = Number.NEGATIVE_INFINITY;
  for (let block = 0, code = 0; block < count; block++) {
    let peak = Number.NEGATIVE_INFINITY;
    for (const end = Math.min((block + 1) * BLOCK - skipped, row.length); code < end; code++) {
      peak = Math.max(peak, row[code]);
    }
    peaks[block] = peak;
    highest = Math.max(highest, peak);
  }
  return highest;
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
export function logProbability(row: Float32Array, code: number): number {
  const peak = peakOf(row);
  const value = f32(f32(row[code] - peak) - f32(Math.log(expSum(row, peak))));
  return Math.max(value, LOG_TINY);
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
