/** PNG files with the parameters of their picture inside, as the Python command line writes and reads them. */

import { decode, encode } from "fast-png";
import { OptionsError } from "../errors.js";
import type { ImageSource, RgbImage } from "../pictures/image.js";
import { type PictureParameters, parametersFromText, parametersToText } from "../tasks/parameters.js";
import { barePng, textOf } from "./png-chunks.js";

/** Of the text chunk that holds the parameters. */
const KEYWORD = "amused-edge";

/** Return a picture as a PNG file; given how it was drawn, `amused-edge generate --like` draws it again. */
export function pngOf(image: RgbImage, parameters?: PictureParameters): Uint8Array {
  const { width, height, data } = image;
  // A chunk of Latin-1 text: what is beyond ASCII stands in it as an escape of JSON.
  const text = parameters && { [KEYWORD]: asciiJson(parametersToText(parameters)) };
  return encode({ width, height, data, channels: 3, ...(text && { text }) });
}

/** Read a PNG file with 8 bits per channel: its picture, and how it was drawn if it says so. */
export function readPng(bytes: Uint8Array): { image: ImageSource; parameters: PictureParameters | undefined } {
  const bare = barePng(bytes);
  let png: ReturnType<typeof decode>;
  try {
    png = decode(bare);
  } catch (error) {
    throw new OptionsError(`it cannot be read as a PNG: ${(error as Error).message}`);
  }
  const { width, height, data, channels } = png;
  if (png.palette || data instanceof Uint16Array || channels === 2) {
    throw new OptionsError("the PNG has a palette, 16 bits or grey with alpha; convert it to RGB or RGBA of 8 bits");
  }
  const text = textOf(bytes, KEYWORD);
  return { image: { width, height, data }, parameters: text === undefined ? undefined : parametersFromText(text) };
}

function asciiJson(text: string): string {
  return text.replace(/[\u007f-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
