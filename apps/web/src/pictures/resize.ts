/**
 * Lanczos filtering of pictures with 8 bits, across and down, in whole numbers: pixel for pixel what Pillow
 * gives, so that a task's picture has the same tokens here as there.
 */

/** Pixels, row by row, `channels` bytes each. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/** Left, top, right, bottom of a part of a picture, in pixels and their fractions. */
export type Box = readonly [number, number, number, number];

const SUPPORT = 3;
const PRECISION = 2 ** 22;

/** Bring a part of a picture to a size. */
export function resize(pixels: Pixels, width: number, height: number, box?: Box): Pixels {
  const [left, top, right, bottom] = box ?? [0, 0, pixels.width, pixels.height];
  const across = weightsOf(pixels.width, left, right, width);
  const down = weightsOf(pixels.height, top, bottom, height);
  // The order of Pillow 13: down first where that leaves out many more rows than the other would columns.
  const rowsLess = pixels.height - height;
  return rowsLess > 0 && rowsLess > 2 * (pixels.width - width)
    ? resizeRows(resizeColumns(pixels, down), across)
    : resizeColumns(resizeRows(pixels, across), down);
}

function resizeRows(pixels: Pixels, across: readonly Weights[] | undefined): Pixels {
  if (!across) {
    return pixels;
  }
  const { height, channels } = pixels;
  const width = across.length;
  const data = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    across.forEach(({ first, weights }, x) => {
      for (let c = 0; c < channels; c++) {
        const from = (y * pixels.width + first) * channels + c;
        data[(y * width + x) * channels + c] = weighted(pixels.data, from, channels, weights);
      }
    });
  }
  return { width, height, channels, data };
}

function resizeColumns(pixels: Pixels, down: readonly Weights[] | undefined): Pixels {
  if (!down) {
    return pixels;
  }
  const { width, channels } = pixels;
  const height = down.length;
  const stride = width * channels;
  const data = new Uint8Array(stride * height);
  down.forEach(({ first, weights }, y) => {
    for (let x = 0; x < stride; x++) {
      data[y * stride + x] = weighted(pixels.data, first * stride + x, stride, weights);
    }
  });
  return { width, height, channels, data };
}

function weighted(data: Uint8Array, first: number, stride: number, weights: Int32Array): number {
  let sum = PRECISION / 2;
  for (let i = 0, at = first; i < weights.length; i++, at += stride) {
    sum += data[at] * weights[i];
  }
  return Math.min(Math.max(Math.floor(sum / PRECISION), 0), 255);
}

/** Of one pixel of the result: the first pixel that it is made of, and the weights of that and the next ones. */
interface Weights {
  readonly first: number;
  readonly weights: Int32Array;
}

/** Return the weights of each pixel of the result; undefined where all pixels stay as they are. */
function weightsOf(size: number, begin: number, end: number, wanted: number): Weights[] | undefined {
  if (begin === 0 && end === size && wanted === size) {
    return undefined;
  }
  const from = Math.fround(begin); // as Pillow, which has a part's borders in float32
  const scale = Math.fround(Math.fround(end) - from) / wanted;
  const filter = Math.max(scale, 1);
  const support = SUPPORT * filter;
  return Array.from({ length: wanted }, (_, place) => {
    const center = from + (place + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const last = Math.min(Math.trunc(center + support + 0.5), size);
    const raw = Array.from({ length: last - first }, (_, i) => lanczos((i + first - center + 0.5) * (1 / filter)));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { first, weights: Int32Array.from(raw, (weight) => rounded(sum === 0 ? weight : weight / sum)) };
  });
}

function rounded(weight: number): number {
  return Math.trunc(weight * PRECISION + (weight < 0 ? -0.5 : 0.5));
}

function lanczos(x: number): number {
  return x >= -SUPPORT && x < SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0;
}

function sinc(x: number): number {
  const angle = x * Math.PI;
  return x === 0 ? 1 : Math.sin(angle) / angle;
}
