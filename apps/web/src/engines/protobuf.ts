/**
 * The fields of a protobuf message, as far as ONNX's files need them (protobuf.dev, "Encoding").
 *
 * It knows the wire format; not what messages mean.
 */

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED_BYTES: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** Yield number and content of a message's fields that are whole numbers or have a length; throws `SyntaxError`. */
export function* fieldsOf(message: Uint8Array): Generator<[number, Uint8Array | number]> {
  const reader = new Varints(message);
  while (reader.at < message.length) {
    const key = reader.next();
    const wire = key % 8;
    const number = Math.floor(key / 8);
    if (wire === VARINT) {
      yield [number, reader.next()];
      continue;
    }
    const length = wire === LENGTH_DELIMITED ? reader.next() : FIXED_BYTES[wire];
    if (length === undefined) {
      throw new SyntaxError(`unknown wire type ${wire}`);
    }
    if (reader.at + length > message.length) {
      throw new SyntaxError("it ends in the middle of a field");
    }
    if (wire === LENGTH_DELIMITED) {
      yield [number, message.subarray(reader.at, reader.at + length)];
    }
    reader.at += length;
  }
}

/** Yield number and content of a message's fields that have a length; throws `SyntaxError`. */
export function* messagesOf(message: Uint8Array): Generator<[number, Uint8Array]> {
  for (const [number, value] of fieldsOf(message)) {
    if (typeof value !== "number") {
      yield [number, value];
    }
  }
}

class Varints {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  next(): number {
    let value = 0;
    for (let shift = 1, i = 0; i < 10; i++, shift *= 128) {
      if (this.at >= this.#bytes.length) {
        throw new SyntaxError("it ends in the middle of a number");
      }
      const byte = this.#bytes[this.at++];
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) {
        return value;
      }
    }
    throw new SyntaxError("a number is too long");
  }
}
