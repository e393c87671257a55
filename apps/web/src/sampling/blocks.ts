/**
 * Philox 4x64-10 of many counters at once, in WebAssembly where there is some, else in script; the words are the same.
 *
 * Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
 */

import { fromBase64 } from "../base64.js";
import { PHILOX_MODULE } from "./philox-module.js";

/** Numbers of a block: four 64-bit words give two each, the low half first. */
export const BLOCK = 8;

/** Most blocks at once: processors work at several, for none waits for another. */
export const TOGETHER = 64;

const SIZE = TOGETHER * BLOCK;
const ROUNDS = 10;

/**
 * Returns the blocks of the first `count` counters; the next call writes over them.
 *
 * @param counters TOGETHER of them, of 8 halves each
 * @param keys of `keysOf`
 */
export type Philox = (counters: Int32Array, keys: Int32Array, count: number) => Uint32Array;

let philox: Philox | undefined;

/** Return the faster way that this host has. */
export function fastestPhilox(): Philox {
  philox ??= philoxOfWebAssembly() ?? philoxOfScript();
  return philox;
}

/** Return the keys of all rounds, two words for each, of key (k, 0). */
export function keysOf(key: bigint): Int32Array {
  const keys = new Int32Array(4 * ROUNDS);
  for (let round = 0; round < ROUNDS; round++) {
    const [first, second] = [key + BigInt(round) * 0x9e3779b97f4a7c15n, BigInt(round) * 0xbb67ae8584caa73bn];
    keys.set([...halves(first), ...halves(second)], 4 * round);
  }
  return keys;
}

/** Return the low and the high half of a whole number's last 64 bits. */
export function halves(word: bigint): [number, number] {
  return [Number(word & 0xffffffffn) | 0, Number((word >> 32n) & 0xffffffffn) | 0];
}

/** Undefined in React Native, which has no WebAssembly, and where a page's policy forbids it. */
export function philoxOfWebAssembly(): Philox | undefined {
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(fromBase64(PHILOX_MODULE)));
    const { memory, philox } = exports as unknown as PhiloxExports;
    const state = new Int32Array(memory.buffer, 0, SIZE);
    const words = new Uint32Array(memory.buffer, 0, SIZE);
    return (counters, keys, count) => {
      state.set(counters);
      philox(count, keys[0], keys[1]);
      return words;
    };
  } catch {
    return undefined;
  }
}

/** Of philox.wat. */
interface PhiloxExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly philox: (count: number, low: number, high: number) => void;
}

const CARRY = 2 ** -32;
const HALF = 1 << 31;

export function philoxOfScript(): Philox {
  // Here, and not of the module, so that also a minified script's engine knows that it is one array of one size.
  const state = new Int32Array(SIZE);
  const words = new Uint32Array(state.buffer);

  /**
   * One round of the first `end` halves of `state`, with key (k, q).
   *
   * 64-bit products are put together from doubles, which are off by less than 2^13, and from their low 32 bits, which
   * `Math.imul` knows: without these, and with 2^31 for rounding, what is left over 2^32 ends in the next 32 bits.
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
}
