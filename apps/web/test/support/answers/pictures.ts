/** Answers to sets of pictures and masks, and of where a picture's loop starts. */

import { inpaintingStart, type Start, variationStart } from "../../../src/drawing/starts.js";
import { outpainting } from "../../../src/index.js";
import { pasteBack, pixelMask, tokenMask } from "../../../src/pictures/masks.js";
import { fitImage, readImage, readMask } from "../../../src/pictures/sources.js";
import type { SamplerSettings } from "../../../src/sampling/options.js";
import { hashed } from "../../../src/tasks/given.js";
import { pictureOf } from "../pictures.js";
import type { Answer, Values } from "../vectors.js";
import { places, range, settingsOf } from "./given.js";

const MASK = 9999;

const told = ({ firstStep, tokens, startingMaskRatio }: Start): Values => ({
  first_step: firstStep,
  masked: places(tokens.map((token) => Number(token === MASK))),
  starting_mask_ratio: startingMaskRatio,
});

const startSettings = (given: Values): SamplerSettings =>
  settingsOf({
    steps: given.steps,
    schedule: given.schedule ?? "linear",
    guidance_scale: 10,
    temperature: [2, 0],
    guidance_ramp: "constant",
    guidance_interval: [0, 1],
    order: "confidence",
  });

export const PICTURES: Readonly<Record<string, Answer>> = {
  "variation-starts": (given) => {
    const tokens = Int32Array.from(range(given.grid[0] * given.grid[1]));
    const [seed, picture] = [BigInt(given.seed), BigInt(given.picture)];
    return told(variationStart(tokens, given.strength, startSettings(given), MASK, seed, picture));
  },
  "inpainting-starts": async (given) => {
    const tokens = Int32Array.from(range(given.grid[0] * given.grid[1]));
    const repaint = Uint8Array.from(tokens, (token) => Number(given.repaint.includes(token)));
    return told(await inpaintingStart(async () => tokens, repaint, given.strength, startSettings(given), MASK));
  },
  "token-masks": ({ mask, grid, coverage }) => ({
    repaint: places(tokenMask(readMask(pictureOf(mask)), grid[0], grid[1], coverage)),
  }),
  "pasted-pictures": ({ drawn, original, mask, feather }) => {
    const [one, other] = [readImage(pictureOf(drawn)), readImage(pictureOf(original))];
    return { pixels: pasteBack(one, other, pixelMask(readMask(pictureOf(mask))), feather).data };
  },
  "fitted-pictures": ({ picture, size, fit }) => {
    const source = pictureOf(picture);
    const grey = source.data.length === source.width * source.height;
    return { pixels: fitImage(grey ? readMask(source) : readImage(source), size[1], size[0], fit).data };
  },
  "outpainting-canvases": ({ picture, ...margins }) => {
    const task = outpainting("", pictureOf(picture), margins);
    const canvas = task.images[0].picture;
    return {
      size: [canvas.height, canvas.width],
      pixels: canvas.data,
      mask: task.masks[0].picture.data,
      fit: task.fit,
      coverage: task.coverage,
    };
  },
  "picture-hashes": ({ picture }) => ({
    sha256:
      picture.channels === 1
        ? hashed(readMask(pictureOf(picture)), "L").sha256
        : hashed(readImage(pictureOf(picture)), "RGB").sha256,
  }),
};
