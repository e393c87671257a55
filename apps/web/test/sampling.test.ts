import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import wabt from "wabt";
import { keysOf, philoxOfScript, philoxOfWebAssembly, TOGETHER } from "../src/sampling/blocks.js";
import { gumbel } from "../src/sampling/gumbel.js";
import { Stream, uniform, uniforms } from "../src/sampling/philox.js";
import { PHILOX_MODULE } from "../src/sampling/philox-module.js";
import { drawCode, drawPlainly, softmax } from "../src/sampling/sampler.js";
import { PACKAGE } from "./support/paths.js";
import { normalLogits } from "./support/sampling.js";

const NAME = { seed: 11n, picture: 2n, step: 3, purpose: 0 };

/** Rows that are hard to leave something out of, from normal ones. */
const ODD: Readonly<Record<string, (value: number, code: number) => number>> = {
  "as they are": (value) => value,
  "many ties": (value) => Math.round(value),
  "one that dominates": (value, code) => (code === 5 ? 40 : value),
  "a second crowd where only the largest noise reaches": (value, code) => (code % 50 ? value - 14 : value),
  "most forbidden": (value, code) => (code % 7 ? Number.NEGATIVE_INFINITY : value),
  "all but one forbidden": (value, code) => (code === 3 ? value : Number.NEGATIVE_INFINITY),
  "far below zero": (value) => value - 30_000,
  "so large that noise is rounded": (value) => 2 ** 22 + value,
  "so large that noise is 16 or nothing": (value) => 2 ** 28 + 8 * value,
  "so large that noise is nothing": (value) => 1e30 * value,
};

test("leaving out what cannot win draws the same codes as the plain way, of any spread and at any place", () => {
  const stream = new Stream(NAME);
  let row = 0;
  for (const codes of [1, 7, 8, 9, 256, 1021, 8192]) {
    for (const deviation of [0, 0.5, 3, 8, 30, 1000]) {
      for (const [odd, changed] of Object.entries(ODD)) {
        for (let repeat = 0; repeat < (codes > 1000 ? 1 : 4); repeat++, row++) {
          const values = normalLogits(codes, deviation, BigInt(row)).map(changed);
          const first = row * 1003 - (row % 3 ? 0 : (row * 1003) % 8);
          const expected = drawPlainly(values, uniforms(codes, NAME, first));
          const drawn = drawCode(values, softmax(values, first), stream, first);
          assert.equal(drawn, expected, `${codes} codes, deviation ${deviation}, row ${row}: ${odd}`);
        }
      }
    }
  }
});

test("what a longer row left behind does not count", () => {
  const stream = new Stream(NAME);
  const longer = new Float32Array(4096).fill(-1000);
  longer[0] = 0;
  for (let row = 0; row < 100; row++) {
    const values = normalLogits(20, 0.5, BigInt(row));
    const first = 1003 * row;
    softmax(longer, 0);
    const drawn = drawCode(values, softmax(values, first), stream, first);
    assert.equal(drawn, drawPlainly(values, uniforms(20, NAME, first)), `row ${row}`);
  }
});

test("ties go to the lowest code, also where it is looked at last", () => {
  const row = new Float32Array(64).fill(-5);
  row.set([2, 2], 20);
  row[50] = 2;
  assert.equal(drawCode(row, softmax(row, 3), chosen(new Uint32Array(72).fill(2 ** 31)), 3), 20);
});

test("what wins with the largest noise alone is not left out, however many are looked at before", () => {
  const row = new Float32Array(1600).fill(-10);
  const words = new Uint32Array(1600).fill(2 ** 31);
  row.fill(-30, 8, 16);
  row[1599] = 0;
  for (const code of [10, 1500]) {
    row[code] = -5;
    words[code] = 2 ** 32 - 1;
  }
  assert.equal(drawPlainly(row, Float32Array.from(words, uniform)), 10);
  assert.equal(drawCode(row, softmax(row, 0), chosen(words), 0), 10);
});

test("what rounding lifts to the highest is not left out", () => {
  // Numbers there are 32 apart: with the largest noise, what lies 32 below the highest is rounded up to it.
  const row = new Float32Array(64).fill(2 ** 28);
  const words = new Uint32Array(64).fill(2 ** 31);
  row[1] = 2 ** 28 + 96;
  row[40] = 2 ** 28 + 128;
  words[1] = 2 ** 32 - 1;
  assert.equal(drawPlainly(row, Float32Array.from(words, uniform)), 1);
  assert.equal(drawCode(row, softmax(row, 0), chosen(words), 0), 1);
});

test("what wins or loses by the last bits of float32 is told apart as in the plain way", () => {
  const codes = 40;
  for (const peak of [0, 5.3, -300.7, 2 ** 20]) {
    for (const rank of [0, 1, 2, 5, 7, 8, 31, 100, 10_000, 1_000_000]) {
      for (const low of [0, 511]) {
        for (let last = -3; last <= 3; last++) {
          // The first has a number in the middle, one in a far block the number of this rank from the largest.
          const row = new Float32Array(codes).fill(peak - 30);
          const words = new Uint32Array(codes).fill(low);
          row[0] = peak;
          words[0] = 2 ** 31 + low;
          words[24] = 2 ** 32 - 512 * (rank + 1) + low;
          const least = Math.fround(row[0] + gumbel(uniform(words[0])));
          row[24] = neighbour(Math.fround(least - gumbel(uniform(words[24]))), last);
          const expected = drawPlainly(row, Float32Array.from(words, uniform));
          const drawn = drawCode(row, softmax(row, 0), chosen(words), 0);
          assert.equal(drawn, expected, `highest ${peak}, rank ${rank}, low bits ${low}, ${last} from even`);
        }
      }
    }
  }
});

/** Return the float32 number so many places above another. */
function neighbour(value: number, places: number): number {
  const bits = new Int32Array(Float32Array.of(value).buffer);
  bits[0] += value < 0 ? -places : places;
  return new Float32Array(bits.buffer)[0];
}

/** Noise of these words; behind them, as in a stream's, anything may stand. */
function chosen(words: Uint32Array): Pick<Stream, "blocks"> {
  const blocks = new Uint32Array(8 * TOGETHER);
  return {
    blocks: (begin, places, count) => {
      blocks.fill(2 ** 32 - 1);
      for (let i = 0; i < 8 * count; i++) {
        blocks[i] = words[8 * (begin + places[Math.floor(i / 8)]) + (i % 8)];
      }
      return blocks;
    },
  };
}

test("script and WebAssembly give the same blocks, those of whole numbers without a limit", () => {
  const both = [philoxOfScript(), philoxOfWebAssembly() ?? assert.fail("there is no WebAssembly")];
  const edge = [0, -1, 1, -(2 ** 31), 2 ** 31 - 1, 0xffff, 0x10000];
  const random = uniforms(8 * TOGETHER, NAME);
  for (const count of [1, 17, TOGETHER]) {
    const counters = Int32Array.from(random, (u, i) => (i % 3 ? u * 2 ** 32 : edge[i % edge.length]));
    for (const key of [0n, 2n ** 64n - 1n, 0x9e3779b97f4a7c15n]) {
      const expected = Array.from({ length: count }, (_, i) => wholePhilox(counters.subarray(8 * i, 8 * i + 8), key));
      for (const philox of both) {
        assert.deepEqual([...philox(counters, keysOf(key), count).subarray(0, 8 * count)], expected.flat());
      }
    }
  }
});

/** Philox 4x64-10 as it is written down. */
function wholePhilox(counter: Int32Array, key: bigint): number[] {
  const whole = (word: bigint) => BigInt.asUintN(64, word);
  let [a, b, c, d] = new BigUint64Array(counter.slice().buffer);
  for (let round = 0n; round < 10n; round++) {
    const [left, right] = [a * 0xd2e7470ee14c6c93n, c * 0xca5a826395121157n];
    a = (right >> 64n) ^ b ^ whole(key + round * 0x9e3779b97f4a7c15n);
    c = (left >> 64n) ^ d ^ whole(round * 0xbb67ae8584caa73bn);
    [b, d] = [whole(right), whole(left)];
  }
  return [...new Uint32Array(BigUint64Array.of(a, b, c, d).buffer)];
}

test("uniforms are those of the blocks one after the other, from any place on, also beyond 2^32 blocks", () => {
  const name = { seed: 2n ** 63n + 5n, picture: 2n ** 40n + 3n, step: 9, purpose: 3 };
  for (const first of [0, 1, 7, 8, 13, 1003, 8 * 2 ** 32 - 30]) {
    for (const count of first === 7 ? [17_000] : [0, 1, 2, 8, 9, 100, 513, 1100]) {
      const expected = new Float32Array(count);
      for (let i = 0, words: number[] = []; i < count; i++) {
        const [block, half] = [Math.floor((first + i) / 8), (first + i) % 8];
        if (i === 0 || half === 0) {
          const counter = BigUint64Array.of(BigInt(block + 1), name.picture, BigInt(name.step), BigInt(name.purpose));
          words = wholePhilox(new Int32Array(counter.buffer), name.seed);
        }
        expected[i] = (Math.floor(words[half] / 2 ** 9) + 0.5) / 2 ** 23;
      }
      assert.deepEqual(uniforms(count, name, first), expected, `${count} from ${first}`);
    }
  }
});

test("where there is no WebAssembly, or a page forbids it, the script is taken", async () => {
  const had = globalThis.WebAssembly;
  const forbidden = {
    Module: class {
      constructor() {
        throw new Error("Content Security Policy");
      }
    },
  };
  try {
    for (const none of [undefined, forbidden]) {
      Object.assign(globalThis, { WebAssembly: none });
      assert.equal(philoxOfWebAssembly(), undefined);
      const module = new URL(`../src/sampling/blocks.js?without=${none}`, import.meta.url).href;
      const { fastestPhilox }: typeof import("../src/sampling/blocks.js") = await import(module);
      const counters = new Int32Array(8 * TOGETHER).fill(3);
      assert.deepEqual(
        [...fastestPhilox()(counters, keysOf(5n), 1).subarray(0, 8)],
        wholePhilox(counters.slice(0, 8), 5n),
      );
    }
  } finally {
    Object.assign(globalThis, { WebAssembly: had });
  }
});

test("the module is what its text says", async () => {
  const { parseWat } = await wabt();
  const text = readFileSync(`${PACKAGE}src/sampling/philox.wat`, "utf8");
  const { buffer } = parseWat("philox.wat", text).toBinary({});
  assert.equal(PHILOX_MODULE, Buffer.from(buffer).toString("base64"), "npm run build makes it");
});
