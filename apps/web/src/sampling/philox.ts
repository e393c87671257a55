/**
 * Random numbers that every port can reproduce: Philox 4x64-10, addressed by (seed, picture, step, purpose).
 *
 * The specification, with test vectors, is docs/random-numbers.md. 64-bit words are pairs of 32-bit ones here, because
 * bigints are slow.
 */

import { BLOCK, fastestPhilox, halves, keysOf, TOGETHER } from "./blocks.js";

/** The fourth counter word: what a stream of numbers is drawn for. */
export const PURPOSE = { tokens: 0, confidence: 1, startMask: 2, order: 3 } as const;

/** Bits a uniform keeps: with 23, `k + 0.5` has 24 significant bits and float32 holds it exactly. */
const DROPPED_BITS = 32 - 23;
const UNIT = 2 ** -23;

const IN_TURN = Int32Array.from({ length: TOGETHER }, (_, i) => i);

/** One stream of numbers. */
export interface StreamName {
  /** Whole numbers in [0, 2^64). */
  readonly seed: bigint;
  readonly picture: bigint;
  /** From 0. */
  readonly step: number;
  readonly purpose: number;
}

/** A stream whose blocks can be taken in any order. */
export class Stream {
  readonly #philox = fastestPhilox();
  readonly #keys: Int32Array;
  readonly #counters = new Int32Array(TOGETHER * BLOCK);

  constructor({ seed, picture, step, purpose }: StreamName) {
    this.#keys = keysOf(seed);
    const counter = [0, 0, ...halves(picture), step, 0, purpose, 0];
    for (let at = 0; at < this.#counters.length; at += BLOCK) {
      this.#counters.set(counter, at);
    }
  }

  /**
   * Return the halves of blocks, as whole 32-bit numbers, 8 for each; the next call of any stream writes over them.
   *
   * @param begin of `places`, which tell the first `count` blocks, TOGETHER of them at most, counted from it
   */
  blocks(begin: number, places: Int32Array, count: number): Uint32Array {
    for (let i = 0; i < count; i++) {
      const counter = begin + places[i] + 1;
      this.#counters[i * BLOCK] = counter;
      this.#counters[i * BLOCK + 1] = Math.floor(counter / 2 ** 32);
    }
    return this.#philox(this.#counters, this.#keys, count);
  }
}

/**
 * Return `count` uniforms of one stream, each an odd multiple of 2^-24 strictly between 0 and 1, float32.
 *
 * @param first the place in the stream, from 0, of the first one; those before it cost nothing
 */
export function uniforms(count: number, name: StreamName, first = 0): Float32Array {
  const stream = new Stream(name);
  const values = new Float32Array(count);
  let block = Math.floor(first / BLOCK);
  for (let i = 0, at = first % BLOCK; i < count; at = 0, block += TOGETHER) {
    const needed = Math.min(TOGETHER, Math.ceil((at + count - i) / BLOCK));
    for (const half of stream.blocks(block, IN_TURN, needed).subarray(at, at + count - i)) {
      values[i++] = uniform(half);
    }
  }
  return values;
}

/** Return the uniform that a whole 32-bit number gives. */
export function uniform(half: number): number {
  return ((half >>> DROPPED_BITS) + 0.5) * UNIT;
}
