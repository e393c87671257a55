/** Small pictures and masks that a rule describes, so that no file must hold their pixels. */

import type { ImageSource } from "../../src/index.js";
import { PURPOSE, uniforms } from "../../src/sampling/philox.js";
import type { Values } from "./vectors.js";

/** Return the picture of a rule: bytes of a random stream, or rectangles on a background. */
export function pictureOf(rule: Values): ImageSource & { data: Uint8Array } {
  const [height, width] = rule.size;
  if ("seed" in rule) {
    const name = { seed: BigInt(rule.seed), picture: 0n, step: 0, purpose: PURPOSE.startMask };
    const noise = uniforms(height * width * rule.channels, name);
    return { width, height, data: Uint8Array.from(noise, (u) => Math.floor(u * 256)) };
  }
  const background: number[] = [rule.background].flat();
  const data = new Uint8Array(height * width * background.length);
  for (let i = 0; i < data.length; i++) {
    data[i] = background[i % background.length];
  }
  for (const [left, top, right, bottom, colour] of rule.rectangles) {
    const levels: number[] = [colour].flat();
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        data.set(levels, (y * width + x) * levels.length);
      }
    }
  }
  return { width, height, data };
}
