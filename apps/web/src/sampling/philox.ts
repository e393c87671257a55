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

/** Added to a number below 2^51 and taken away again, it rounds to a whole one: faster than `Math.round`. */
const MAGIC = 1.5 * 2 ** 52;

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
  readonly #key: readonly [number, number];
  readonly #picture: readonly [number, number];
  readonly #step: number;
  readonly #purpose: number;

  constructor({ seed, picture, step, purpose }: StreamName) {
    this.#key = halves(seed);
    this.#picture = halves(picture);
    this.#step = step;
    this.#purpose = purpose;
  }

  /** Write the 8 halves of block `index` (from 0), as whole 32-bit numbers, to `words`. */
  block(index: number, words: Uint32Array | Int32Array): void {
    const counter = index + 1;
    const [b0, b1] = this.#picture;
    const [k0, k1] = this.#key;
    philox(words, counter | 0, Math.floor(counter * CARRY) | 0, b0, b1, this.#step, 0, this.#purpose, 0, k0, k1);
  }
}

/**
 * Return `count` uniforms of one stream, each an odd multiple of 2^-24 strictly between 0 and 1, float32.
 *
 * @param first the place in the stream, from 0, of the first one; those before it cost nothing
 */
export function uniforms(count: number, name: StreamName, first = 0): Float32Array {
  const stream = new Stream(name);
  const words = new Uint32Array(BLOCK);
  const values = new Float32Array(count);
  let block = Math.floor(first / BLOCK);
  for (let i = 0, at = first % BLOCK; i < count; at = 0, block++) {
    stream.block(block, words);
    for (; at < BLOCK && i < count; at++) {
      values[i++] = uniform(words[at]);
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

/**
 * Write Philox 4x64-10 of counter (a, b, c, d) and key (k, 0) to `words`; each 64-bit word is (low half, high half).
 *
 * A 32-bit product's high half is (x * y - low) / 2^32: the product of doubles is off by less than 2^11, and rounding
 * takes that away. Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
 */
export function philox(
  words: Uint32Array | Int32Array,
  a0: number,
  a1: number,
  b0: number,
  b1: number,
  c0: number,
  c1: number,
  d0: number,
  d1: number,
  k0: number,
  k1: number,
): void {
  let q0 = 0;
  let q1 = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const x0 = a0 >>> 0;
    const x1 = a1 >>> 0;
    const y0 = c0 >>> 0;
    const y1 = c1 >>> 0;
    // A = 0xD2E7470EE14C6C93 * a
    const l00 = Math.imul(a0, 0xe14c6c93) >>> 0;
    const h00 = (x0 * 0xe14c6c93 - l00) * CARRY + MAGIC - MAGIC;
    const l01 = Math.imul(a0, 0xd2e7470e) >>> 0;
    const h01 = (x0 * 0xd2e7470e - l01) * CARRY + MAGIC - MAGIC;
    const l10 = Math.imul(a1, 0xe14c6c93) >>> 0;
    const h10 = (x1 * 0xe14c6c93 - l10) * CARRY + MAGIC - MAGIC;
    const l11 = Math.imul(a1, 0xd2e7470e) >>> 0;
    const h11 = (x1 * 0xd2e7470e - l11) * CARRY + MAGIC - MAGIC;
    const am = h00 + l01 + l10;
    const an = h01 + h10 + l11 + (am - (am >>> 0)) * CARRY;
    // C = 0xCA5A826395121157 * c
    const m00 = Math.imul(c0, 0x95121157) >>> 0;
    const g00 = (y0 * 0x95121157 - m00) * CARRY + MAGIC - MAGIC;
    const m01 = Math.imul(c0, 0xca5a8263) >>> 0;
    const g01 = (y0 * 0xca5a8263 - m01) * CARRY + MAGIC - MAGIC;
    const m10 = Math.imul(c1, 0x95121157) >>> 0;
    const g10 = (y1 * 0x95121157 - m10) * CARRY + MAGIC - MAGIC;
    const m11 = Math.imul(c1, 0xca5a8263) >>> 0;
    const g11 = (y1 * 0xca5a8263 - m11) * CARRY + MAGIC - MAGIC;
    const cm = g00 + m01 + m10;
    const cn = g01 + g10 + m11 + (cm - (cm >>> 0)) * CARRY;
    a0 = (cn | 0) ^ b0 ^ k0;
    a1 = ((g11 + (cn - (cn >>> 0)) * CARRY) | 0) ^ b1 ^ k1;
    c0 = (an | 0) ^ d0 ^ q0;
    c1 = ((h11 + (an - (an >>> 0)) * CARRY) | 0) ^ d1 ^ q1;
    b0 = m00 | 0;
    b1 = cm | 0;
    d0 = l00 | 0;
    d1 = am | 0;
    const k = (k0 >>> 0) + 0x7f4a7c15;
    k0 = k | 0;
    k1 = (k1 + 0x9e3779b9 + (k > 0xffffffff ? 1 : 0)) | 0;
    const q = (q0 >>> 0) + 0x84caa73b;
    q0 = q | 0;
    q1 = (q1 + 0xbb67ae85 + (q > 0xffffffff ? 1 : 0)) | 0;
  }
  words[0] = a0;
  words[1] = a1;
  words[2] = b0;
  words[3] = b1;
  words[4] = c0;
  words[5] = c1;
  words[6] = d0;
  words[7] = d1;
}
