/** Pictures as plain values: size and bytes, row by row, channels last. */

/** An RGB picture that was drawn: `data` has 3 bytes per pixel, sRGB. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A grey picture, a byte per pixel. */
export interface GreyImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/**
 * A picture that a caller gives: 1 (grey), 3 (RGB) or 4 (RGBA) bytes per pixel, sRGB. A canvas's `ImageData` is one.
 */
export interface ImageSource {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Return a picture's pixels as RGBA, for `new ImageData(rgba(image), image.width)`. */
export function rgba(image: RgbImage): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray((image.data.length / 3) * 4);
  for (let from = 0, to = 0; from < image.data.length; from += 3, to += 4) {
    pixels[to] = image.data[from];
    pixels[to + 1] = image.data[from + 1];
    pixels[to + 2] = image.data[from + 2];
    pixels[to + 3] = 255;
  }
  return pixels;
}
