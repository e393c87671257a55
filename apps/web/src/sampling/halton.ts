/**
 * An order of a grid's positions in which every beginning is spread evenly: the two-dimensional Halton sequence.
 *
 * Drawing neighbours in one step, blind to each other, is what spoils pictures of masked image models (Besnier et al.,
 * "Halton Scheduler for Masked Generative Image Transformer", ICLR 2025).
 */

/**
 * Return all positions of a grid, row by row from 0, in the order in which the sequence first reaches them: point i,
 * from 1, lies in row `floor(inverse_2(i) * height)` and column `floor(inverse_3(i) * width)`.
 */
export function haltonOrder(height: number, width: number): Int32Array {
  const order = new Int32Array(height * width);
  const reached = new Uint8Array(order.length);
  for (let point = 1, found = 0; found < order.length; point++) {
    const row = Math.floor(radicalInverse(point, 2) * height);
    const position = row * width + Math.floor(radicalInverse(point, 3) * width);
    if (!reached[position]) {
      reached[position] = 1;
      order[found++] = position;
    }
  }
  return order;
}

/** Mirror the digits of a whole number at the point: in base 2, 6 = 110 becomes 0.011 = 0.375. */
function radicalInverse(index: number, base: number): number {
  let value = 0;
  for (let weight = 1 / base, rest = index; rest > 0; weight /= base, rest = Math.floor(rest / base)) {
    value += (rest % base) * weight;
  }
  return value;
}
