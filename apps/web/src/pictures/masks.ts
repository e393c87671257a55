/** Masks of in-painting: which tokens are drawn anew, and how the untouched pixels are pasted back. */

import type { GreyImage, RgbImage } from "./image.js";
import { resize } from "./resize.js";
import { roundHalfEven } from "./sources.js";

export const COVERAGES = ["half", "any"] as const;
/** Tokens that are drawn anew: covered by "half" or more, or by "any" pixel of the mask. */
export type Coverage = (typeof COVERAGES)[number];

const f32 = Math.fround;

/** The least grey level that means repaint. */
const HALF = 128;

/**
 * Return the tokens to draw anew, 1 in the result, from a grey mask of the picture's size.
 *
 * "half" asks for a level of 128 or more after Lanczos filtering to the grid, as the reference does for grey masks;
 * "any" takes every token with at least one such pixel.
 */
export function tokenMask(mask: GreyImage, height: number, width: number, coverage: Coverage): Uint8Array {
  if (coverage === "half") {
    return resize({ ...mask, channels: 1 }, width, height).data.map((level) => Number(level >= HALF));
  }
  const repaint = new Uint8Array(height * width);
  pixelMask(mask).forEach((set, pixel) => {
    const row = Math.floor(Math.floor(pixel / mask.width) / (mask.height / height));
    const column = Math.floor((pixel % mask.width) / (mask.width / width));
    repaint[row * width + column] |= set;
  });
  return repaint;
}

/** Return the pixels to repaint, 1 in the result. */
export function pixelMask(mask: GreyImage): Uint8Array {
  return mask.data.map((level) => Number(level >= HALF));
}

/**
 * Return `drawn` where `repaint` is set, and `original` to the pixel elsewhere.
 *
 * @param feather width in pixels, 0 to 256, over which the original fades out; it lies within the repainted part, and
 *   is narrower where that is
 */
export function pasteBack(drawn: RgbImage, original: RgbImage, repaint: Uint8Array, feather: number): RgbImage {
  const depth = feather ? depthOf(repaint, drawn.width, drawn.height, feather + 1) : Float32Array.from(repaint);
  const deepest = feather ? depth.reduce((most, one) => Math.max(most, one), 1) : 1;
  const data = drawn.data.map((level, i) => {
    const weight = f32(depth[Math.floor(i / 3)] / deepest);
    const mixed = f32(original.data[i] + f32(weight * f32(level - original.data[i])));
    return roundHalfEven(mixed);
  });
  return { ...drawn, data };
}

/** Return how many pixels each lies inside the mask, 0 outside and at most `most`; a picture's border is no edge. */
function depthOf(repaint: Uint8Array, width: number, height: number, most: number): Float32Array {
  const depth = new Float32Array(repaint.length);
  let inside = repaint;
  for (let level = 0; level < most && inside.includes(1); level++) {
    for (let i = 0; i < depth.length; i++) {
      depth[i] += inside[i];
    }
    inside = worn(worn(inside, width, height, 1, width), height, width, width, 1);
  }
  return depth;
}

/** Take away what has something outside beside it along one axis: `count` lines of `length` places. */
function worn(inside: Uint8Array, length: number, count: number, step: number, stride: number): Uint8Array {
  const left = new Uint8Array(inside.length);
  for (let line = 0; line < count; line++) {
    for (let place = 0; place < length; place++) {
      const at = line * stride + place * step;
      const before = place === 0 || inside[at - step];
      const behind = place === length - 1 || inside[at + step];
      left[at] = inside[at] && before && behind ? 1 : 0;
    }
  }
  return left;
}
