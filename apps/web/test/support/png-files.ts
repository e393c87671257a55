/** PNG files by hand, chunk by chunk; their checksums are zero, which fast-png does not ask. */
import { deflateSync } from "node:zlib";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

export function pngChunk(kind: string, content: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, Buffer.from(kind, "latin1"), content, Buffer.alloc(4)]);
}

/** A PNG of RGB pixels of 8 bits; `data` are those of its IDAT, before they are deflated. */
export function pngOfRows(width: number, height: number, data: Uint8Array, beside: readonly Buffer[] = []): Uint8Array {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8);
  const chunks = [pngChunk("IHDR", head), ...beside, pngChunk("IDAT", deflateSync(data))];
  return Uint8Array.from(Buffer.concat([Buffer.from(SIGNATURE), ...chunks, pngChunk("IEND", Buffer.alloc(0))]));
}

/** A text chunk of UTF-8, compressed or not. */
export function internationalText(keyword: string, text: Uint8Array, compressed: boolean): Buffer {
  const head = Buffer.from([...Buffer.from(`${keyword}\0`), Number(compressed), 0, ...Buffer.from("en\0k\0")]);
  return pngChunk("iTXt", Buffer.concat([head, text]));
}
