/** Standard Gumbel noise from uniforms, in float32, and how large it can get. */

import { uniform } from "./philox.js";

const f32 = Math.fround;

/** Smallest probability and smallest argument of a logarithm, as in the reference. */
export const TINY = f32(1e-20);

/** Return `-log(-log(u))`, arguments kept above 1e-20, every operation rounded to float32. */
export function gumbel(u: number): number {
  const inner = -f32(Math.log(Math.max(u, TINY)));
  return -f32(Math.log(Math.max(inner, TINY)));
}

const BINS = 2 ** 12;
const BIN_BITS = 32 - 12;

/** Upper bounds of the noise by the top bits of the number that gives it: what spares most of the logarithms. */
const BOUNDS = new Float32Array(BINS);
for (let bin = 0; bin < BINS; bin++) {
  // Noise grows with the number, but for the last bit of a logarithm.
  BOUNDS[bin] = gumbel(uniform(((bin + 1) * 2 ** BIN_BITS - 1) >>> 0)) + 1e-5;
}

/** No noise is larger. */
export const LARGEST_NOISE = BOUNDS[BINS - 1];

/** Return a number that the noise of a whole 32-bit number does not exceed. */
export function noiseBound(half: number): number {
  return BOUNDS[half >>> BIN_BITS];
}
