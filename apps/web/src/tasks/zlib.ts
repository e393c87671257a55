/**
 * The zlib format (RFC 1950, 1951) for a state's few KB: read whole, written without compression.
 *
 * Hosts differ in what they have for it, and those that have it do it asynchronously.
 */

const LARGEST_STORED = 65_535;
const MOST_BITS = 15;

/** Lengths and distances of a match: the least of each code, and how many bits are added to it. */
const LENGTHS = growing(29, 3, 2);
LENGTHS[28] = [258, 0];
const DISTANCES = growing(30, 1, 1);
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** Return bytes in the zlib format. */
export function deflate(bytes: Uint8Array): Uint8Array {
  const out: number[] = [0x78, 0x01];
  for (let at = 0; at === 0 || at < bytes.length; at += LARGEST_STORED) {
    const part = bytes.subarray(at, at + LARGEST_STORED);
    const last = at + LARGEST_STORED >= bytes.length;
    out.push(Number(last), part.length & 255, part.length >> 8, ~part.length & 255, (~part.length >> 8) & 255, ...part);
  }
  const sum = adler32(bytes);
  out.push(sum >>> 24, (sum >>> 16) & 255, (sum >>> 8) & 255, sum & 255);
  return Uint8Array.from(out);
}

/** Return the bytes of the zlib format; throws `SyntaxError` where they are not `size` or it is damaged. */
export function inflate(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length < 6 || (bytes[0] & 15) !== 8 || ((bytes[0] << 8) | bytes[1]) % 31 !== 0 || bytes[1] & 32) {
    throw new SyntaxError("it is not compressed by zlib");
  }
  const input = new Bits(bytes, 2);
  const out = new Output(size);
  for (let last = 0; !last; ) {
    last = input.take(1);
    const kind = input.take(2);
    if (kind === 0) {
      stored(input, out);
    } else if (kind === 3) {
      throw new SyntaxError("a block is of no known kind");
    } else {
      compressed(input, out, ...(kind === 1 ? fixedCodes() : writtenCodes(input)));
    }
  }
  const content = out.content();
  const sum = input.bytes(4).reduce((value, byte) => value * 256 + byte, 0);
  if (sum !== adler32(content)) {
    throw new SyntaxError("its checksum does not fit");
  }
  return content;
}

/** Reads bits, the least first. */
class Bits {
  readonly #bytes: Uint8Array;
  #at: number;
  #held = 0;
  #count = 0;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  take(count: number): number {
    while (this.#count < count) {
      if (this.#at >= this.#bytes.length) {
        throw new SyntaxError("it ends too early");
      }
      this.#held |= this.#bytes[this.#at++] << this.#count;
      this.#count += 8;
    }
    const value = this.#held & ((1 << count) - 1);
    this.#held >>>= count;
    this.#count -= count;
    return value;
  }

  /** Leave out what is left of a byte, and return the next ones. */
  bytes(count: number): Uint8Array {
    this.#at -= this.#count >> 3;
    this.#held = 0;
    this.#count = 0;
    const part = this.#bytes.subarray(this.#at, this.#at + count);
    if (part.length < count) {
      throw new SyntaxError("it ends too early");
    }
    this.#at += count;
    return part;
  }
}

/** Collects bytes, no more than were asked for. */
class Output {
  readonly #bytes: Uint8Array;
  #count = 0;

  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
  }

  push(byte: number): void {
    if (this.#count === this.#bytes.length) {
      throw new SyntaxError(`it holds more than ${this.#bytes.length} bytes`);
    }
    this.#bytes[this.#count++] = byte;
  }

  repeat(distance: number, length: number): void {
    if (distance > this.#count) {
      throw new SyntaxError("it repeats what was not there");
    }
    for (let i = 0; i < length; i++) {
      this.push(this.#bytes[this.#count - distance]);
    }
  }

  content(): Uint8Array {
    if (this.#count < this.#bytes.length) {
      throw new SyntaxError(`it holds ${this.#count} bytes, not ${this.#bytes.length}`);
    }
    return this.#bytes;
  }
}

/** A canonical Huffman code: how many codes there are of each length, and their symbols in order. */
interface Huffman {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

function huffman(lengths: readonly number[]): Huffman {
  const counts = new Uint16Array(MOST_BITS + 1);
  for (const length of lengths) {
    counts[length] += Number(length > 0);
  }
  const symbols = Array.from(lengths.keys()).filter((symbol) => lengths[symbol] > 0);
  symbols.sort((one, other) => lengths[one] - lengths[other] || one - other);
  return { counts, symbols: Uint16Array.from(symbols) };
}

function symbolOf(input: Bits, { counts, symbols }: Huffman): number {
  let code = 0;
  let first = 0;
  let index = 0;
  for (let bits = 1; bits <= MOST_BITS; bits++) {
    code |= input.take(1);
    if (code - first < counts[bits]) {
      return symbols[index + code - first];
    }
    index += counts[bits];
    first = (first + counts[bits]) << 1;
    code <<= 1;
  }
  throw new SyntaxError("a code is not known");
}

function stored(input: Bits, out: Output): void {
  const [low, high, notLow, notHigh] = input.bytes(4);
  if ((low ^ notLow) !== 255 || (high ^ notHigh) !== 255) {
    throw new SyntaxError("the length of a block is damaged");
  }
  input.bytes(low | (high << 8)).forEach((byte) => {
    out.push(byte);
  });
}

function compressed(input: Bits, out: Output, literals: Huffman, distances: Huffman): void {
  for (let symbol = symbolOf(input, literals); symbol !== 256; symbol = symbolOf(input, literals)) {
    if (symbol < 256) {
      out.push(symbol);
      continue;
    }
    const length = added(input, LENGTHS[symbol - 257]);
    out.repeat(added(input, DISTANCES[symbolOf(input, distances)]), length);
  }
}

function added(input: Bits, code: readonly [number, number] | undefined): number {
  if (code === undefined) {
    throw new SyntaxError("a match is of no known kind");
  }
  return code[0] + input.take(code[1]);
}

function fixedCodes(): [Huffman, Huffman] {
  const lengths = Array.from({ length: 288 }, (_, symbol) =>
    symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8,
  );
  return [huffman(lengths), huffman(new Array(30).fill(5))];
}

function writtenCodes(input: Bits): [Huffman, Huffman] {
  const literals = input.take(5) + 257;
  const distances = input.take(5) + 1;
  const written = new Array(CODE_ORDER.length).fill(0);
  for (let i = input.take(4) + 4, k = 0; k < i; k++) {
    written[CODE_ORDER[k]] = input.take(3);
  }
  const codes = huffman(written);
  const lengths: number[] = [];
  while (lengths.length < literals + distances) {
    const symbol = symbolOf(input, codes);
    if (symbol < 16) {
      lengths.push(symbol);
    } else if (symbol === 16) {
      lengths.push(...new Array(3 + input.take(2)).fill(lengths.at(-1) ?? 0));
    } else {
      lengths.push(...new Array(symbol === 17 ? 3 + input.take(3) : 11 + input.take(7)).fill(0));
    }
  }
  return [huffman(lengths.slice(0, literals)), huffman(lengths.slice(literals, literals + distances))];
}

/** Return codes of which every 2^shift, after the first ones, take one bit more. */
function growing(count: number, least: number, shift: number): [number, number][] {
  const codes: [number, number][] = [];
  for (let i = 0, from = least; i < count; i++) {
    const bits = Math.max((i >> shift) - 1, 0);
    codes.push([from, bits]);
    from += 1 << bits;
  }
  return codes;
}

function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b * 65536 + a;
}
