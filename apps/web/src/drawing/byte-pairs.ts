/** Byte-pair encoding of one word (Sennrich et al., 2016) in the alphabet of bytes that GPT-2 uses. */

import { InternalError } from "../errors.js";
import { utf8 } from "../utf8.js";

/** A letter that can be shown for each byte. */
const ALPHABET = alphabet();

/** Words of this length or less are remembered. */
const SHORT = 64;
const MOST_REMEMBERED = 10_000;

export class BytePairs {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #unknown: number;
  readonly #suffix: string;
  readonly #remembered = new Map<string, readonly number[]>();

  /**
   * @param ids of the vocabulary's symbols
   * @param merges pairs of symbols, the first to be merged first
   * @param unknown the id of what the vocabulary does not have
   * @param suffix of a word's last symbol
   */
  constructor(
    ids: ReadonlyMap<string, number>,
    merges: readonly (readonly [string, string])[],
    unknown: number,
    suffix: string,
  ) {
    this.#ids = ids;
    this.#ranks = new Map(merges.map(([left, right], rank) => [pair(left, right), rank]));
    this.#unknown = unknown;
    this.#suffix = suffix;
  }

  /** Return the ids of a word. */
  ids(word: string): readonly number[] {
    const known = this.#remembered.get(word);
    if (known) {
      return known;
    }
    const ids = this.#merged(word).map((symbol) => this.#ids.get(symbol) ?? this.#unknown);
    if (word.length <= SHORT && this.#remembered.size < MOST_REMEMBERED) {
      this.#remembered.set(word, ids);
    }
    return ids;
  }

  #merged(word: string): string[] {
    const bytes = utf8(word);
    if (bytes === undefined) {
      throw new InternalError("internal error: a word that is not Unicode reached the tokenizer");
    }
    let symbols = Array.from(bytes, (byte) => ALPHABET[byte]);
    symbols[symbols.length - 1] += this.#suffix;
    for (let best = this.#best(symbols); best !== undefined; best = this.#best(symbols)) {
      symbols = mergeAll(symbols, best[0], best[1]);
    }
    return symbols;
  }

  /** Return the pair of neighbours that is to be merged first; undefined where there is none. */
  #best(symbols: readonly string[]): [string, string] | undefined {
    let least = Number.POSITIVE_INFINITY;
    let best: [string, string] | undefined;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = this.#ranks.get(pair(symbols[i], symbols[i + 1])) ?? Number.POSITIVE_INFINITY;
      if (rank < least) {
        least = rank;
        best = [symbols[i], symbols[i + 1]];
      }
    }
    return best;
  }
}

/** Merge every occurrence of a pair, from the left. */
function mergeAll(symbols: readonly string[], left: string, right: string): string[] {
  const merged: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const found = symbols[i] === left && symbols[i + 1] === right;
    merged.push(found ? left + right : symbols[i]);
    i += Number(found);
  }
  return merged;
}

function pair(left: string, right: string): string {
  return `${left} ${right}`; // no symbol has a space
}

function alphabet(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const shown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(shown ? byte : next++);
  });
}
