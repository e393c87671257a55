/**
 * One step of mask-predict sampling as functions of arrays: only masked rows are looked at, one after the other.
 *
 * Numbers are float32, operation by operation, as NumPy computes them.
 */

import { expSum } from "./exp-sum.js";
import { gumbel, TINY } from "./gumbel.js";
import { BLOCK, type Stream, TOGETHER, uniform } from "./philox.js";

const f32 = Math.fround;
const LOG_TINY = f32(Math.log(TINY));
/** -log(u) of the largest uniform, which has the largest noise. */
const LEAST_CHANCE = 2 ** -24;

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

/** What softmax(row) takes. */
export interface Softmax {
  readonly peak: number;
  /** Of exp(row - peak), float32; not a number if a logit is none or infinite. */
  readonly sum: number;
}

/** Of the last softmax: no less than exp(row - peak) summed over each block of noise. */
let shares = new Float64Array(0);

/** @param first the place in the stream of noise of the row's first code, as in `drawCode` */
export function softmax(row: Float32Array, first: number): Softmax {
  const blocks = Math.ceil(row.length / BLOCK);
  if (shares.length <= blocks) {
    shares = new Float64Array(blocks + 1);
  }
  const peak = peakOf(row);
  const sum = expSum(row, peak, shares);
  if (first % BLOCK > 0) {
    // Blocks of noise end within the row's eights: each has a part of two of them.
    shares[blocks] = 0;
    for (let block = blocks; block > 0; block--) {
      shares[block] += shares[block - 1];
    }
  }
  return { peak, sum };
}

/** Return the largest value of a row, four at a time. */
function peakOf(row: Float32Array): number {
  let [a, b, c, d] = [row[0], row[0], row[0], row[0]];
  let i = 0;
  for (; i + 3 < row.length; i += 4) {
    a = row[i] > a ? row[i] : a;
    b = row[i + 1] > b ? row[i + 1] : b;
    c = row[i + 2] > c ? row[i + 2] : c;
    d = row[i + 3] > d ? row[i + 3] : d;
  }
  for (; i < row.length; i++) {
    a = row[i] > a ? row[i] : a;
  }
  return Math.max(a, b, c, d);
}

/** Blocks with less than this, where the highest logit has 1, are looked at last: one of the others is likelier to win. */
const NEAR = Math.exp(-3);

/** Blocks to look at, the near ones first, and those of them that are looked at together. */
let order = new Int32Array(0);
const chosen = new Int32Array(TOGETHER);

/**
 * Draw a code from softmax(row) by Gumbel-max: the largest of logit + noise, the lowest code on a tie.
 *
 * What cannot win is left out: ...
 *
 * @param noise of which `blocks` is taken
 * @param first the place in the stream of the row's first code
 */
export function drawCode(row: Float32Array, { peak }: Softmax, noise: Pick<Stream, "blocks">, first: number): number {
  const begin = Math.floor(first / BLOCK);
  const missing = first % BLOCK;
  const count = Math.ceil((missing + row.length) / BLOCK);
  const weights = shares;
  const near = nearFirst(weights, count);
  let best = Number.NEGATIVE_INFINITY;
  let odds = Number.POSITIVE_INFINITY;
  let drawn = 0;
  for (let next = 0; next < count; ) {
    let found = 0;
    let heaviest = 0;
    for (const last = next < near ? near : count; next < last && found < TOGETHER; next++) {
      const weight = weights[order[next]];
      if (!(weight * odds < LEAST_CHANCE)) {
        chosen[found++] = order[next];
        heaviest = Math.max(heaviest, weight);
      }
    }
    const words = noise.blocks(begin, chosen, found);
    let least = leastWord(heaviest * odds);
    const end = found * BLOCK;
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
        odds = Math.exp(peak - best + 2 ** -17 + Math.abs(best) * 2 ** -23);
        least = leastWord(heaviest * odds);
      }
    }
  }
  return drawn;
}

/** Write the blocks' numbers to `order`, near ones first, and return how many those are. */
function nearFirst(weights: Float64Array, count: number): number {
  if (order.length < count) {
    order = new Int32Array(count);
  }
  const places = order;
  const least = NEAR;
  let near = 0;
  let far = count;
  for (let block = 0; block < count; block++) {
    if (weights[block] >= least) {
      places[near++] = block;
    } else {
      places[--far] = block;
    }
  }
  return near;
}

/** Return the least whole 32-bit number whose uniform u has -log(u) of at most `odds`; or less than it. */
function leastWord(odds: number): number {
  // -log(u) is more than 1 - u.
  return Math.max(0, 2 ** 32 * (1 - odds) - 256) >>> 0;
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
