/** PNG files that others made: their text, and that a small file does not become a large picture or a long text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { OptionsError } from "../src/errors.js";
import { readPng } from "../src/node/png.js";
import { textOf } from "../src/node/png-chunks.js";
import { internationalText, pngChunk, pngOfRows } from "./support/png-files.js";

const ROWS = Buffer.from([0, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12]);
const PIXELS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

test("texts of both kinds, and of other keywords", () => {
  const text = "Füchse 🦊";
  for (const chunk of [
    internationalText("mine", Buffer.from(text), false),
    internationalText("mine", deflateSync(text), true),
  ]) {
    const other = pngChunk("tEXt", Buffer.from("mine too\0other"));
    assert.equal(textOf(pngOfRows(2, 2, ROWS, [other, chunk]), "mine"), text);
  }
  assert.equal(textOf(pngOfRows(2, 2, ROWS, [pngChunk("tEXt", Buffer.from("mine\0\xfc", "latin1"))]), "mine"), "ü");
  assert.equal(textOf(pngOfRows(2, 2, ROWS), "mine"), undefined);
});

test("what stands beside the pixels does not matter to them", () => {
  const bomb = Buffer.concat([Buffer.from("profile\0\0"), deflateSync(Buffer.alloc(2 ** 25))]);
  const beside = [pngChunk("iCCP", bomb), pngChunk("tRNs", Buffer.from("?")), pngChunk("zTXt", bomb)];
  const { image, parameters } = readPng(pngOfRows(2, 2, ROWS, beside));
  assert.deepEqual([image.width, image.height, [...image.data]], [2, 2, PIXELS]);
  assert.equal(parameters, undefined);
});

const compressed = (content: Uint8Array) => internationalText("amused-edge", content, true);
for (const [name, png, said] of [
  ["more pixels than anybody has", pngOfRows(8192, 8193, ROWS), /8192x8193 pixels, of at most 67108864; scale it down/],
  ["more data than pixels", pngOfRows(2, 2, Buffer.alloc(2 ** 25)), /pixels of the PNG are damaged or too many/],
  ["no data", pngOfRows(2, 2, Buffer.alloc(0)), /cannot be read as a PNG/],
  ["a text that grows", pngOfRows(2, 2, ROWS, [compressed(deflateSync(Buffer.alloc(2 ** 25, 32)))]), /too large/],
  ["a text that is not compressed", pngOfRows(2, 2, ROWS, [compressed(Buffer.from("{}"))]), /damaged or too large/],
] as const) {
  test(`${name}: refused with one error`, () => {
    assert.throws(
      () => readPng(png),
      (error) => error instanceof OptionsError && said.test(error.message),
    );
  });
}
