/**
 * Random numbers that every port can reproduce: Philox 4x64-10, addressed by (seed, picture, step, purpose).
 *
 * The specification, with test vectors, is docs/random-numbers.md. 64-bit words are pairs of 32-bit ones here, because
 * bigints are eight times slower.
 */

/** The fourth counter word: what a stream of numbers is drawn for. */
export const PURPOSE = { tokens: 0, confidence: 1, startMask: 2, order: 3 } as const;

/** Bits a uniform keeps: with 23, `k + 0.5` has 24 significant bits and float32 holds it exactly. */
const DROPPED_BITS = 32 - 23;
const UNIT = 2 ** -23;

/** Numbers of a block: four 64-bit words give two each, the low half first. */
export const BLOCK = 8;

const ROUNDS = 10;
const CARRY = 2 ** -32;
const HALF = 1 << 31;

/** Most blocks that are computed side by side: processors work at several, for none waits for another. */
export const TOGETHER = 64;
const IN_TURN = Int32Array.from({ length: TOGETHER }, (_, i) => i);

const SIZE = TOGETHER * BLOCK;

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
  readonly #keys: Int32Array;
  readonly #counters = new Int32Array(SIZE);

  constructor({ seed, picture, step, purpose }: StreamName) {
    this.#keys = keysOf(...halves(seed));
    const counter = [0, 0, ...halves(picture), step, 0, purpose, 0];
    for (let at = 0; at < SIZE; at += BLOCK) {
      this.#counters.set(counter, at);
    }
  }

  /**
   * Return the halves of blocks, as whole 32-bit numbers, 8 for each; the next call writes over them.
   *
   * @param begin of `places`, which tell the first `count` blocks, TOGETHER of them at most, counted from it
   */
  blocks(begin: number, places: Int32Array, count: number): Uint32Array {
    for (let i = 0; i < count; i++) {
      const counter = begin + places[i] + 1;
      this.#counters[i * BLOCK] = counter | 0;
      this.#counters[i * BLOCK + 1] = Math.floor(counter * CARRY) | 0;
    }
    return philox(this.#counters, this.#keys, count);
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

/** Return the low and the high half of a 64-bit word. */
export function halves(word: bigint): [number, number] {
  return [Number(word & 0xffffffffn) | 0, Number((word >> 32n) & 0xffffffffn) | 0];
}

/** Return the keys of all rounds, two words for each, of key (k, 0). */
export function keysOf(low: number, high: number): Int32Array {
  const keys = new Int32Array(4 * ROUNDS);
  let key = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  let second = 0n;
  for (let at = 0; at < keys.length; at += 4) {
    keys.set([...halves(key), ...halves(second)], at);
    key += 0x9e3779b97f4a7c15n;
    second += 0xbb67ae8584caa73bn;
  }
  return keys;
}

/**
 * Return the blocks of the first `count` counters, Philox 4x64-10; the next call writes over them.
 *
 * Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
 *
 * @param counters of 8 halves each, TOGETHER of them
 */
export const philox: (counters: Int32Array, keys: Int32Array, count: number) => Uint32Array = (() => {
  // Within a function, so that also in a page's minified script the engine knows it for one array of one size.
  const state = new Int32Array(SIZE);
  const words = new Uint32Array(state.buffer);

  /**
   * One round of the first `end` halves of `state`, with key (k, q).
   *
   * 64-bit products are put together from doubles, off by little, and from their low 32 bits, which `Math.imul` knows:
   * without those, and with 2^31 for rounding, what is left over 2^32 begins with the next 32 bits.
   */
  function round(end: number, k0: number, k1: number, q0: number, q1: number): void {
    for (let i = 0; i < SIZE && i < end; i += BLOCK) {
      const a0 = state[i];
      const a1 = state[i + 1];
      const c0 = state[i + 4];
      const c1 = state[i + 5];
      const x0 = a0 >>> 0;
      const x1 = a1 >>> 0;
      const y0 = c0 >>> 0;
      const y1 = c1 >>> 0;
      // 0xD2E7470EE14C6C93 * a, 32 bits each of p3 p2 p1 p0; s has those above p0, t those above p1.
      const p0 = Math.imul(a0, 0xe14c6c93);
      const s = (x0 * 0xe14c6c93 - (p0 ^ HALF)) * CARRY;
      const p1 = (Math.imul(a0, 0xd2e7470e) + Math.imul(a1, 0xe14c6c93) + (s | 0)) | 0;
      const t = (x0 * 0xd2e7470e + x1 * 0xe14c6c93 + s - (p1 ^ HALF)) * CARRY;
      const p2 = (Math.imul(a1, 0xd2e7470e) + (t | 0)) | 0;
      const p3 = ((x1 * 0xd2e7470e + t - (p2 ^ HALF)) * CARRY) | 0;
      // 0xCA5A826395121157 * c
      const r0 = Math.imul(c0, 0x95121157);
      const u = (y0 * 0x95121157 - (r0 ^ HALF)) * CARRY;
      const r1 = (Math.imul(c0, 0xca5a8263) + Math.imul(c1, 0x95121157) + (u | 0)) | 0;
      const v = (y0 * 0xca5a8263 + y1 * 0x95121157 + u - (r1 ^ HALF)) * CARRY;
      const r2 = (Math.imul(c1, 0xca5a8263) + (v | 0)) | 0;
      const r3 = ((y1 * 0xca5a8263 + v - (r2 ^ HALF)) * CARRY) | 0;
      state[i] = r2 ^ state[i + 2] ^ k0;
      state[i + 1] = r3 ^ state[i + 3] ^ k1;
      state[i + 2] = r0;
      state[i + 3] = r1;
      state[i + 4] = p2 ^ state[i + 6] ^ q0;
      state[i + 5] = p3 ^ state[i + 7] ^ q1;
      state[i + 6] = p0;
      state[i + 7] = p1;
    }
  }

  return (counters, keys, count) => {
    state.set(counters);
    for (let at = 0; at < keys.length; at += 4) {
      round(count * BLOCK, keys[at], keys[at + 1], keys[at + 2], keys[at + 3]);
    }
    return words;
  };
})();
