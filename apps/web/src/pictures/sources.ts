/** Pictures that a caller gives: made RGB or grey, and fitted to a bundle's size. */

import { OptionsError, quoted } from "../errors.js";
import type { GreyImage, ImageSource, RgbImage } from "./image.js";
import { type Box, type Pixels, resize } from "./resize.js";

export const FITS = ["crop", "pad", "stretch", "exact"] as const;
/**
 * How a picture is brought to the bundle's size: cut what is too much from the middle ("crop"), add grey borders ("pad"),
 * change its proportions ("stretch"), or refuse a picture of other proportions ("exact").
 */
export type Fit = (typeof FITS)[number];

const WHITE = 255;
const BLACK = 0;
const GREY = 128;

/** Return a picture as RGB, what is transparent on white. */
export function readImage(source: ImageSource): RgbImage {
  const { width, height, channels, data } = flat(source, WHITE);
  if (channels === 3) {
    return { width, height, data };
  }
  const colours = new Uint8Array(3 * data.length);
  data.forEach((level, i) => {
    colours.fill(level, 3 * i, 3 * i + 3);
  });
  return { width, height, data: colours };
}

/** Return a mask as grey levels, 0 to keep and 255 to repaint; what is transparent lies on black. */
export function readMask(source: ImageSource): GreyImage {
  const { width, height, channels, data } = flat(source, BLACK);
  if (channels === 1) {
    return { width, height, data };
  }
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    // ITU-R 601-2, in whole numbers
    grey[i] = (19595 * data[3 * i] + 38470 * data[3 * i + 1] + 7471 * data[3 * i + 2] + 0x8000) >> 16;
  }
  return { width, height, data: grey };
}

/** Bring a picture, RGB or grey, to a size by Lanczos filtering, see `Fit`. */
export function fitImage<P extends RgbImage | GreyImage>(image: P, width: number, height: number, how: Fit): P {
  if (image.width === width && image.height === height) {
    return image;
  }
  const pixels = { ...image, channels: image.data.length / (image.width * image.height) };
  const fitted = { ...image, width, height };
  if (how === "pad") {
    return { ...fitted, data: padded(pixels, width, height) };
  }
  if (how === "exact") {
    checkProportions(image, width, height);
  }
  return {
    ...fitted,
    data: resize(pixels, width, height, how === "crop" ? middle(image, width, height) : undefined).data,
  };
}

/** Throw if a picture has not the proportions of a size, up to a pixel. */
export function checkProportions(image: { width: number; height: number }, width: number, height: number): void {
  if (Math.abs(image.width * height - image.height * width) >= Math.max(image.width, image.height)) {
    throw new OptionsError(
      `a picture of ${image.width}x${image.height} has other proportions than the bundle's ${width}x${height}; ` +
        "choose another size, other margins, or let it be cropped, padded or stretched",
    );
  }
}

/** Return the largest part in the middle that has the proportions of a size. */
function middle(image: { width: number; height: number }, width: number, height: number): Box {
  const found = image.width / image.height;
  const wanted = width / height;
  const cropWidth = found > wanted ? wanted * image.height : image.width;
  const cropHeight = found < wanted ? image.width / wanted : image.height;
  const left = (image.width - cropWidth) * 0.5;
  const top = (image.height - cropHeight) * 0.5;
  return [left, top, left + cropWidth, top + cropHeight];
}

/** Return the pixels of a picture made as large as fits, between borders: grey, or black of a grey picture. */
function padded(pixels: Pixels, width: number, height: number): Uint8Array {
  const scale = Math.min(width / pixels.width, height / pixels.height);
  const inner = resize(
    pixels,
    Math.min(width, Math.max(1, roundHalfEven(pixels.width * scale))),
    Math.min(height, Math.max(1, roundHalfEven(pixels.height * scale))),
  );
  const { channels } = pixels;
  const data = new Uint8Array(width * height * channels).fill(channels === 3 ? GREY : BLACK);
  const left = (width - inner.width) >> 1;
  const top = (height - inner.height) >> 1;
  const row = inner.width * channels;
  for (let y = 0; y < inner.height; y++) {
    data.set(inner.data.subarray(y * row, (y + 1) * row), ((top + y) * width + left) * channels);
  }
  return data;
}

/** Round to a whole number, halves to the even one, as Python does. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/** Return a picture's bytes, checked and of 1 or 3 channels: what is transparent is laid on a level. */
function flat(source: ImageSource, ground: number): Pixels {
  const { width, height, data } = checked(source);
  const channels = data.length / (width * height);
  if (channels !== 4) {
    return { width, height, channels, data: Uint8Array.from(data) };
  }
  const colours = new Uint8Array(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const alpha = data[4 * pixel + 3];
    for (let c = 0; c < 3; c++) {
      // The quotient by 255 in whole numbers, as Pillow takes it.
      const mixed = data[4 * pixel + c] * alpha + ground * (255 - alpha) + 128;
      colours[3 * pixel + c] = ((mixed >> 1) + 128 * mixed) >> 15;
    }
  }
  return { width, height, channels: 3, data: colours };
}

function checked(source: ImageSource): ImageSource {
  const { width, height, data } = source ?? {};
  const bytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray;
  const sides = [width, height].every((side) => Number.isInteger(side) && side > 0);
  if (!bytes || !sides || ![1, 3, 4].includes(data.length / (width * height))) {
    throw new OptionsError(
      `a picture is ${quoted({ width, height, bytes: bytes ? data.length : typeof data })}; give its width, height and ` +
        "data, 1, 3 or 4 bytes per pixel",
    );
  }
  return source;
}
