/** What is laid over a picture: how sure the model was of each token, and which are still open. */

import type { Grid } from "../compute/draw.js";

/** From unsure, dark, to sure, bright; the colours of the command's heat map. */
export const HEAT = [
  [33, 16, 92],
  [156, 40, 128],
  [232, 83, 74],
  [252, 168, 60],
  [252, 250, 190],
] as const;
/** Of the colour; the rest is the picture's lightness. */
const COLOUR_SHARE = 0.65;

/** Return a picture coloured by the probability of its tokens, as the command's `--heatmap` draws it. */
export function heatMap(image: ImageData, probability: Float32Array, grid: Grid, mask?: Uint8Array): ImageData {
  const { width, height, data } = image;
  const mapped = new ImageData(width, height);
  const colours = Array.from(probability, (share, i) => (mask?.[i] ? [128, 128, 128] : colourAt(share)));
  for (let pixel = 0; pixel < width * height; pixel++) {
    const row = Math.floor((Math.floor(pixel / width) * grid.rows) / height);
    const column = Math.floor(((pixel % width) * grid.columns) / width);
    const at = 4 * pixel;
    const lightness = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    for (let c = 0; c < 3; c++) {
      mapped.data[at + c] =
        COLOUR_SHARE * (colours[row * grid.columns + column]?.[c] ?? 0) + (1 - COLOUR_SHARE) * lightness;
    }
    mapped.data[at + 3] = 255;
  }
  return mapped;
}

/** Return one pixel a token: opaque in a colour where it is still open, clear where it is drawn. */
export function veil(mask: Uint8Array, grid: Grid, [red, green, blue]: readonly [number, number, number]): ImageData {
  const image = new ImageData(grid.columns, grid.rows);
  mask.forEach((open, i) => {
    image.data.set([red, green, blue, open ? 235 : 0], 4 * i);
  });
  return image;
}

function colourAt(share: number): number[] {
  const place = Math.min(Math.max(share, 0), 1) * (HEAT.length - 1);
  const low = Math.min(Math.floor(place), HEAT.length - 2);
  const part = place - low;
  return [0, 1, 2].map((c) => HEAT[low][c] * (1 - part) + HEAT[low + 1][c] * part);
}
