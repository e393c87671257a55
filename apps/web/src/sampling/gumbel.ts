/** Standard Gumbel noise from uniforms, in float32. */

const f32 = Math.fround;

/** Smallest probability and smallest argument of a logarithm, as in the reference. */
export const TINY = f32(1e-20);

/** Return `-log(-log(u))`, arguments kept above 1e-20, every operation rounded to float32. */
export function gumbel(u: number): number {
  const inner = -f32(Math.log(Math.max(u, TINY)));
  return -f32(Math.log(Math.max(inner, TINY)));
}
