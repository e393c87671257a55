/** PNG files with the parameters of their picture in them, as the command lines write and read them. */

import { encode } from "fast-png";
import type { GreyImage, ImageSource } from "../../../src/pictures/image.js";
import { fromUtf8 } from "../../../src/utf8.js";

/** Of the text chunk that holds the parameters. */
const KEYWORD = "amused-edge";
const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const LATIN_1 = new TextDecoder("latin1");

/** Return a picture as a file; given the text of its parameters, `amused-edge generate --like` draws it again. */
export function encodePng(image: ImageSource, parameters?: string): Uint8Array<ArrayBuffer> {
  const { width, height, data } = image;
  const channels = data.length / (width * height);
  const text = parameters === undefined ? {} : { text: { [KEYWORD]: ascii(parameters) } };
  return new Uint8Array(encode({ width, height, data, channels, ...text }));
}

/** Return a mask as a file. */
export function encodeGrey(image: GreyImage): Uint8Array<ArrayBuffer> {
  return encodePng(image);
}

/** Return the parameters that a PNG file holds; undefined where it holds none, or is no PNG. */
export async function parametersIn(png: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
  if (!SIGNATURE.every((byte, i) => png[i] === byte)) {
    return undefined;
  }
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  for (let at = SIGNATURE.length; at + 12 <= png.length; at += 12 + view.getUint32(at)) {
    const kind = LATIN_1.decode(png.subarray(at + 4, at + 8));
    const content = png.subarray(at + 8, at + 8 + view.getUint32(at));
    const end = content.indexOf(0);
    if ((kind === "tEXt" || kind === "iTXt") && LATIN_1.decode(content.subarray(0, end)) === KEYWORD) {
      return kind === "tEXt" ? LATIN_1.decode(content.subarray(end + 1)) : international(content.subarray(end + 1));
    }
  }
  return undefined;
}

/** Return the text of an iTXt chunk: two flags, language and translated keyword, each ended by 0, and UTF-8. */
async function international(content: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
  const language = content.indexOf(0, 2);
  const text = content.subarray(content.indexOf(0, language + 1) + 1);
  if (!content[0]) {
    return fromUtf8(text);
  }
  const inflated = new Blob([text]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(inflated).text();
}

/** What is beyond ASCII stands in a chunk of Latin-1 text as an escape of JSON. */
function ascii(text: string): string {
  return text.replace(/[\u007f-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
