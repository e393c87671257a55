/** Classes of characters as the tokenizers library knows them; engines of JavaScript differ in that. */

import { LETTERS, NUMBERS } from "./unicode-ranges.js";

/** Unicode's White_Space, all of it. */
const SPACES =
  "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";

const WHITE = new Set(Array.from(SPACES, (space) => space.charCodeAt(0)));

export type CharacterKind = "white" | "letter" | "number" | "other";

const letters = boundaries(LETTERS);
const numbers = boundaries(NUMBERS);

/** Return what a code point is. */
export function characterKind(code: number): CharacterKind {
  if (WHITE.has(code)) {
    return "white";
  }
  return isIn(letters, code) ? "letter" : isIn(numbers, code) ? "number" : "other";
}

/** Replace each run of white space. */
export function replaceSpaces(text: string, by: string): string {
  return text.replace(/[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g, by);
}

/** Return where runs begin and end, in turn. */
function boundaries(runs: string): number[] {
  let at = 0;
  return runs.split(" ").map((length) => {
    at += Number.parseInt(length, 36);
    return at;
  });
}

/** Say whether a code point lies in a run: behind an odd number of boundaries. */
function isIn(boundary: readonly number[], code: number): boolean {
  let low = 0;
  let high = boundary.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (boundary[middle] <= code) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low % 2 === 1;
}
