/** Pictures that come from outside: files that a visitor gives, and what a server sends. */

import { fromBase64 } from "../../../src/base64.js";
import { OptionsError } from "../../../src/errors.js";
import { context2d, make } from "../page/dom.js";

/** Longest side of a starting picture; larger ones are made smaller, so that a phone can paint on them. */
export const LONGEST_SIDE = 2048;
/** Refused at once: no camera makes them, and they could take all memory. */
const MOST_BYTES = 100e6;
const MOST_PIXELS = 120e6;

/** Return a picture from a file: turned as its EXIF says, in sRGB, on white where it is transparent. */
export async function readPicture(file: Blob): Promise<ImageData> {
  if (file.size > MOST_BYTES) {
    throw new OptionsError(`the file has ${Math.round(file.size / 1e6)} MB; give one of up to ${MOST_BYTES / 1e6}`);
  }
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  if (!bitmap) {
    throw new OptionsError("this file is no picture that the browser can read; give a PNG, JPEG or WebP");
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    throw new OptionsError(`the picture has ${bitmap.width}x${bitmap.height} pixels; give a smaller one`);
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale))) as [
    number,
    number,
  ];
  const context = context2d(make("canvas", { width, height }), { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/** Return the bytes of base64, which may stand in a data URL. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(fromBase64(text.replace(/^data:[^,]*,/, "")));
}

/** Return the pixels of a picture that the server sent. */
export async function decode(bytes: Uint8Array<ArrayBuffer>): Promise<ImageData> {
  return readPicture(new Blob([bytes]));
}

/** Return a picture without its alpha, as the runtime takes and gives it. */
export function rgbOf({ width, height, data }: ImageData): { width: number; height: number; data: Uint8Array } {
  const colours = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < colours.length; from += 4, to += 3) {
    colours[to] = data[from];
    colours[to + 1] = data[from + 1];
    colours[to + 2] = data[from + 2];
  }
  return { width, height, data: colours };
}
