/** Checks of values that a caller gives; each throws `OptionsError`, which names the value. */

import { OptionsError, quoted } from "./errors.js";
import { utf8 } from "./utf8.js";

/** Far above any useful guidance scale or temperature, far below what float32 arithmetic would turn into infinity. */
const REAL_LIMIT = 1e6;

/** Characters of a prompt. Pictures hold their prompt, and readers of PNG files refuse more than 64 MB of text. */
const LONGEST = 10_000_000;

/** Return `value` if it is a whole number in the range. */
export function wholeNumber(name: string, value: unknown, minimum: number, maximum = Number.MAX_SAFE_INTEGER): number {
  const number = Number(wholeBigInt(name, value, BigInt(minimum), BigInt(maximum)));
  return number;
}

/** Return `value`, a whole number or bigint in the range, as a bigint. */
export function wholeBigInt(name: string, value: unknown, minimum: bigint, maximum: bigint): bigint {
  if (typeof value !== "bigint" && !(typeof value === "number" && Number.isSafeInteger(value))) {
    throw new OptionsError(`${name} is ${quoted(value)}; it must be a whole number (a bigint where it is large)`);
  }
  const number = BigInt(value);
  if (number < minimum) {
    throw new OptionsError(`${name} is ${number}; it must be ${minimum} or more`);
  }
  if (number > maximum) {
    throw new OptionsError(`${name} is ${quoted(number)}; it must be ${maximum} or less`);
  }
  return number;
}

/** Return `value` if it is a number from 0 to 1e6. */
export function realNumber(name: string, value: unknown): number {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new OptionsError(`${name} is ${quoted(value)}; it must be a number`);
  }
  if (!(value >= 0 && value <= REAL_LIMIT)) {
    throw new OptionsError(`${name} is ${value}; it must be between 0 and ${REAL_LIMIT}`);
  }
  return value;
}

/** Return `value` if it is one of `choices`. */
export function choice<C extends string>(name: string, value: unknown, choices: readonly C[]): C {
  if (!(choices as readonly unknown[]).includes(value)) {
    throw new OptionsError(`${name} is ${quoted(value)}; choose one of: ${choices.join(", ")}`);
  }
  return value as C;
}

/** Throw if a prompt cannot be written as UTF-8, or is longer than a picture's file could hold. */
export function checkText(prompt: string): void {
  if (prompt.length > LONGEST) {
    throw new OptionsError(`a prompt has ${prompt.length} characters; the text encoder reads some dozens of words`);
  }
  if (utf8(prompt) === undefined) {
    throw new OptionsError(`prompt ${quoted(prompt)} is not valid Unicode: it holds half of a surrogate pair`);
  }
}
