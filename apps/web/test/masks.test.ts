import assert from "node:assert/strict";
import { test } from "node:test";
import { inpaintingStart, variationStart } from "../src/drawing/starts.js";
import { OptionsError } from "../src/errors.js";
import { pasteBack } from "../src/pictures/masks.js";
import { PURPOSE, uniforms } from "../src/sampling/philox.js";
import { pictureOf } from "./support/pictures.js";
import { DEFAULTS } from "./support/sampling.js";

const MASK = 9999;

test("a token is masked where its number is below the ratio, not where it is the ratio", () => {
  const [picture, position] = [47n, 945];
  const noise = uniforms(1024, { seed: 0n, picture, step: 0, purpose: PURPOSE.startMask });
  const ratio = Math.fround(11 / 12);
  assert.equal(noise[position], ratio, "one of 1024 numbers is the ratio");
  const settings = { ...DEFAULTS, schedule: "linear" } as const;
  const tokens = Int32Array.from(noise.keys());
  const start = variationStart(tokens, 0.95, settings, MASK, 0n, picture);
  assert.equal(start.firstStep, 1);
  assert.deepEqual(
    start.tokens,
    tokens.map((token) => (noise[token] < ratio ? MASK : token)),
  );
});

test("where in-painting leaves no step, the strength that is named leaves one", async () => {
  const encode = async (): Promise<Int32Array> => Int32Array.of(1, 2);
  for (const steps of [1, 2, 3, 7, 12, 1000]) {
    const settings = { ...DEFAULTS, steps };
    const begin = (strength: number) => inpaintingStart(encode, Uint8Array.of(0, 1), strength, settings, MASK);
    let least = 0;
    await assert.rejects(begin(0.9 / steps), (error: Error) => {
      least = Number(/give at least (.+)$/.exec(error.message)?.[1]);
      return error instanceof OptionsError;
    });
    assert.equal((await begin(least)).firstStep, steps - 1);
    await assert.rejects(begin(least - 1e-5), OptionsError);
  }
});

test("the original fades out over the feather, counted from the nearest pixel outside; the border is no edge", () => {
  const [width, height] = [9, 7];
  const drawn = pictureOf({ size: [height, width], background: [200, 100, 0], rectangles: [] });
  const original = pictureOf({ size: [height, width], background: [0, 100, 250], rectangles: [] });
  const masks = [
    [],
    [[0, 0, 9, 7, 1]],
    [[0, 0, 5, 7, 1]],
    [[3, 2, 9, 7, 1]],
    [[1, 1, 8, 6, 1]],
    [
      [0, 0, 9, 7, 1],
      [4, 3, 5, 4, 0],
    ],
    [
      [0, 4, 3, 7, 1],
      [7, 0, 9, 2, 1],
    ],
  ];
  for (const rectangles of masks) {
    const repaint = pictureOf({ size: [height, width], background: 0, rectangles }).data;
    for (const feather of [0, 1, 2, 3, 20]) {
      const depths = [...repaint.keys()].map((pixel) => depthOf(repaint, width, pixel, feather + 1));
      const deepest = Math.max(1, ...depths);
      const { data } = pasteBack(drawn, original, repaint, feather);
      for (const [i, level] of data.entries()) {
        const share = depths[Math.floor(i / 3)] / deepest;
        const expected = original.data[i] * (1 - share) + drawn.data[i] * share;
        assert.ok(
          Math.abs(level - expected) <= 0.5001,
          `${JSON.stringify(rectangles)}, ${feather}: ${level}, ${expected}`,
        );
      }
    }
  }
});

/** How many steps, as a king goes, a pixel is from the nearest one outside, 0 if it is one, at most `most`. */
function depthOf(repaint: Uint8Array, width: number, pixel: number, most: number): number {
  const outside = [...repaint.keys()].filter((other) => !repaint[other]);
  const steps = outside.map((other) =>
    Math.max(
      Math.abs((other % width) - (pixel % width)),
      Math.abs(Math.floor(other / width) - Math.floor(pixel / width)),
    ),
  );
  return Math.min(most, ...steps);
}
