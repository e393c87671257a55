/** Base64 both ways: React Native has had no `atob` for long. */

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Return bytes as base64. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const [a, b, c] = [bytes[at], bytes[at + 1], bytes[at + 2]];
    const all = (a << 16) | ((b ?? 0) << 8) | (c ?? 0);
    text += LETTERS[all >> 18] + LETTERS[(all >> 12) & 63];
    text += (b === undefined ? "=" : LETTERS[(all >> 6) & 63]) + (c === undefined ? "=" : LETTERS[all & 63]);
  }
  return text;
}

/** Return the bytes of base64; throws `SyntaxError` where it is none. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  if (text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw new SyntaxError("it is not base64");
  }
  const digits = Array.from(text.replace(/=+$/, ""), (letter) => LETTERS.indexOf(letter));
  const bytes = new Uint8Array((digits.length * 3) >> 2);
  for (let i = 0; i < bytes.length; i++) {
    const bit = 8 * i;
    const at = Math.floor(bit / 6);
    bytes[i] = (((digits[at] << 6) | digits[at + 1]) >> (4 - (bit % 6))) & 255;
  }
  return bytes;
}
