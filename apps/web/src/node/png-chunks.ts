/** PNG files chunk by chunk: what their pixels need, bounded before they are decoded, and their text. */

import { inflateSync } from "node:zlib";
import { OptionsError } from "../errors.js";

/** Bytes before the first chunk; of a chunk's length and name; of its checksum. */
const SIGNATURE = 8;
const HEAD = 8;
const CHECKSUM = 4;

/** Most pixels of a picture, and most bytes of a text: a small file may hold much more. */
const MOST_PIXELS = 2 ** 26;
const MOST_TEXT = 2 ** 24;

/** Bytes of a pixel, at most: four channels of 16 bits. Interlaced rows are twice as many. */
const PIXEL_BYTES = 8;

/** All that the pixels are made of; a profile or a text may be damaged, and as large as its maker likes. */
const NEEDED = new Set(["IHDR", "PLTE", "tRNS", "IDAT", "IEND"]);

interface Chunk {
  readonly kind: string;
  readonly content: Uint8Array;
  readonly whole: Uint8Array;
}

/**
 * Return a PNG with nothing beside its pixels.
 *
 * @throws OptionsError if they are too many to be decoded
 */
export function barePng(png: Uint8Array): Uint8Array {
  const chunks = [...chunksOf(png)].filter(({ kind }) => NEEDED.has(kind));
  const [head] = chunks;
  if (head?.kind === "IHDR" && head.content.length >= 8) {
    checkSize(head.content, chunks);
  }
  return Buffer.concat([png.subarray(0, SIGNATURE), ...chunks.map(({ whole }) => whole)]);
}

/**
 * Return the text of a keyword, of the Latin-1 chunk (tEXt) that this package writes, or of the UTF-8 one (iTXt) that
 * Python does.
 *
 * @throws OptionsError if it is damaged or too large
 */
export function textOf(png: Uint8Array, keyword: string): string | undefined {
  const head = Buffer.from(`${keyword}\0`);
  for (const { kind, content } of chunksOf(png)) {
    if (!head.equals(content.subarray(0, head.length))) {
      continue;
    }
    const rest = Buffer.from(content.subarray(head.length));
    if (kind === "tEXt") {
      return rest.toString("latin1");
    }
    if (kind === "iTXt") {
      return internationalText(rest);
    }
  }
  return undefined;
}

/** Read what stands behind an iTXt's keyword: whether it is compressed, how, a language, the keyword in it, the text. */
function internationalText(rest: Buffer): string {
  const language = rest.indexOf(0, 2);
  const text = rest.subarray(rest.indexOf(0, language + 1) + 1);
  try {
    return (rest[0] ? inflateSync(text, { maxOutputLength: MOST_TEXT }) : text).toString("utf8");
  } catch (error) {
    throw new OptionsError(`the text of the PNG is damaged or too large: ${(error as Error).message}`);
  }
}

function* chunksOf(png: Uint8Array): Generator<Chunk> {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  for (let at = SIGNATURE; at + HEAD + CHECKSUM <= png.length; ) {
    const end = at + HEAD + view.getUint32(at);
    const kind = String.fromCharCode(...png.subarray(at + 4, at + HEAD));
    yield { kind, content: png.subarray(at + HEAD, end), whole: png.subarray(at, end + CHECKSUM) };
    at = end + CHECKSUM;
  }
}

/** Throw if a picture has too many pixels, or its data hold more than these. */
function checkSize(head: Uint8Array, chunks: readonly Chunk[]): void {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  if (width * height > MOST_PIXELS) {
    throw new OptionsError(`the PNG has ${width}x${height} pixels, of at most ${MOST_PIXELS}; scale it down first`);
  }
  const data = Buffer.concat(chunks.filter(({ kind }) => kind === "IDAT").map(({ content }) => content));
  try {
    inflateSync(data, { maxOutputLength: 2 * height * (width * PIXEL_BYTES + 1) + 1 });
  } catch (error) {
    throw new OptionsError(`the pixels of the PNG are damaged or too many: ${(error as Error).message}`);
  }
}
