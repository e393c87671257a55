/**
 * SHA-256 in pieces (FIPS 180-4): `crypto.subtle` takes a whole message at once, and is missing on pages without https.
 */

/** Return the first 32 bits of the fractions of a root of the first primes: the constants of the standard. */
function fractions(count: number, root: number): Int32Array {
  const found = new Int32Array(count);
  for (let number = 2, i = 0; i < count; number++) {
    let prime = true;
    for (let divisor = 2; divisor * divisor <= number && prime; divisor++) {
      prime = number % divisor !== 0;
    }
    if (prime) {
      const value = number ** (1 / root);
      found[i++] = (value - Math.floor(value)) * 2 ** 32;
    }
  }
  return found;
}

const BLOCK = 64;
const K = fractions(64, 3);
const START = fractions(8, 2);

/** A hash in the making: `update` it with a message's pieces, then take its `hex`. */
export class Sha256 {
  readonly #state = START.slice();
  readonly #schedule = new Int32Array(64);
  readonly #rest = new Uint8Array(BLOCK);
  #bytes = 0;

  /** Add a piece of the message. */
  update(piece: Uint8Array): this {
    let at = 0;
    const held = this.#bytes % BLOCK;
    this.#bytes += piece.length;
    if (held) {
      at = Math.min(BLOCK - held, piece.length);
      this.#rest.set(piece.subarray(0, at), held);
      if (held + at < BLOCK) {
        return this;
      }
      this.#block(this.#rest, 0);
    }
    for (; at + BLOCK <= piece.length; at += BLOCK) {
      this.#block(piece, at);
    }
    this.#rest.set(piece.subarray(at));
    return this;
  }

  /** Return the hash in hex. The object is used up. */
  hex(): string {
    const bits = this.#bytes * 8;
    const held = this.#bytes % BLOCK;
    const end = new Uint8Array(held < 56 ? BLOCK - held : 2 * BLOCK - held);
    end[0] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(end.length - 4, bits >>> 0);
    this.update(end);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #block(data: Uint8Array, at: number): void {
    const w = this.#schedule;
    for (let i = 0, k = at; i < 16; i++, k += 4) {
      w[i] = (data[k] << 24) | (data[k + 1] << 16) | (data[k + 2] << 8) | data[k + 3];
    }
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15];
      const y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    const s = this.#state;
    // One by one: taking an array apart runs its iterator, which is as long as the rounds themselves.
    let a = s[0];
    let b = s[1];
    let c = s[2];
    let d = s[3];
    let e = s[4];
    let f = s[5];
    let g = s[6];
    let h = s[7];
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    s[0] += a;
    s[1] += b;
    s[2] += c;
    s[3] += d;
    s[4] += e;
    s[5] += f;
    s[6] += g;
    s[7] += h;
  }
}

/** Return the SHA-256 of bytes in hex. */
export function sha256(bytes: Uint8Array): string {
  return new Sha256().update(bytes).hex();
}
