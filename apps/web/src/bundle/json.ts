/**
 * JSON that tells whole numbers from others, as Python does: 64-bit seeds stay exact, and a hash of a text that Python
 * wrote can be taken again.
 */

/** A whole number is a bigint, any other a number. */
export type Json = null | boolean | bigint | number | string | Json[] | { [name: string]: Json };

const DEEPEST = 900;
const MOST_DIGITS = 4300;
const NUMBER = /(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const WORDS: readonly (readonly [string, Json])[] = [
  ["null", null],
  ["true", true],
  ["false", false],
];
const CONSTANTS: readonly (readonly [string, Json])[] = [
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
];
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/**
 * Parse a text; throws `SyntaxError`.
 *
 * @param constants whether NaN and Infinity, which are no JSON, are taken as numbers
 */
export function parseJson(text: string, constants = false): Json {
  const parser = new Parser(text, constants ? [...WORDS, ...CONSTANTS] : WORDS);
  return parser.whole();
}

class Parser {
  readonly #text: string;
  readonly #words: readonly (readonly [string, Json])[];
  #at = 0;

  constructor(text: string, words: readonly (readonly [string, Json])[]) {
    this.#text = text;
    this.#words = words;
  }

  whole(): Json {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) {
      this.#fail("there is more behind its end");
    }
    return value;
  }

  #value(depth: number): Json {
    if (depth > DEEPEST) {
      this.#fail("its lists and objects are nested too deeply");
    }
    this.#space();
    const letter = this.#text[this.#at];
    if (letter === "{") {
      return Object.fromEntries(this.#members("}", () => this.#member(depth)));
    }
    if (letter === "[") {
      return this.#members("]", () => this.#value(depth + 1));
    }
    return letter === '"' ? this.#string() : this.#word();
  }

  #members<T>(end: string, member: () => T): T[] {
    const members: T[] = [];
    this.#at++;
    if (this.#next(end)) {
      return members;
    }
    do {
      members.push(member());
    } while (this.#next(","));
    if (!this.#next(end)) {
      this.#fail(`"," or "${end}" is missing`);
    }
    return members;
  }

  #member(depth: number): [string, Json] {
    this.#space();
    if (this.#text[this.#at] !== '"') {
      this.#fail("a name is missing");
    }
    const name = this.#string();
    if (!this.#next(":")) {
      this.#fail('":" is missing');
    }
    return [name, this.#value(depth + 1)];
  }

  #string(): string {
    let made = "";
    for (let from = ++this.#at; ; ) {
      const letter = this.#text[this.#at];
      if (letter === undefined || letter < " ") {
        this.#fail("a text does not end, or holds a control character");
      }
      if (letter !== '"' && letter !== "\\") {
        this.#at++;
        continue;
      }
      made += this.#text.slice(from, this.#at++);
      if (letter === '"') {
        return made;
      }
      made += this.#escape();
      from = this.#at;
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at++] ?? "";
    const hex = this.#text.slice(this.#at, this.#at + 4);
    if (letter === "u" && /^[0-9a-fA-F]{4}$/.test(hex)) {
      this.#at += 4;
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    if (!Object.hasOwn(ESCAPES, letter)) {
      this.#fail("an escape is not known");
    }
    return ESCAPES[letter];
  }

  #word(): Json {
    for (const [word, value] of this.#words) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    NUMBER.lastIndex = this.#at;
    const found = NUMBER.exec(this.#text);
    if (found === null) {
      return this.#fail("a value is missing");
    }
    this.#at = NUMBER.lastIndex;
    if (found[2] !== undefined || found[3] !== undefined) {
      return Number(found[0]);
    }
    return found[0].length > MOST_DIGITS ? this.#fail("a number has too many digits") : BigInt(found[0]);
  }

  #next(letter: string): boolean {
    this.#space();
    const there = this.#text[this.#at] === letter;
    this.#at += Number(there);
    return there;
  }

  #space(): void {
    while (" \t\n\r".includes(this.#text[this.#at] ?? "x")) {
      this.#at++;
    }
  }

  #fail(why: string): never {
    throw new SyntaxError(`${why}, at character ${this.#at}`);
  }
}

/**
 * Return a value as Python's `json.dumps` writes it.
 *
 * @param sorted names in order, and all that is not ASCII as an escape: the form that hashes are taken of
 */
export function dumpJson(value: Json, sorted = false): string {
  if (typeof value === "string") {
    return dumpText(value, sorted);
  }
  if (typeof value === "number") {
    return pythonFloat(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map((item) => dumpJson(item, sorted)).join(", ")}]`;
  }
  if (typeof value === "object" && value !== null) {
    const names = sorted ? Object.keys(value).sort() : Object.keys(value);
    return `{${names.map((name) => `${dumpText(name, sorted)}: ${dumpJson(value[name], sorted)}`).join(", ")}}`;
  }
  return String(value);
}

function dumpText(text: string, ascii: boolean): string {
  const plain = JSON.stringify(text);
  return ascii ? plain.replace(/[\u007f-\uffff]/g, unicodeEscape) : plain;
}

function unicodeEscape(letter: string): string {
  return `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Return a float as Python's `repr`: the same shortest digits as JavaScript's, in another form. */
export function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  }
  const [digits, power] = value.toExponential().split("e");
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  // Between 1e-7 and 1e-4, and from 1e16 to 1e21, the languages differ; not in what is left.
  const text = Object.is(value, -0) ? "-0" : String(value);
  return text.includes(".") ? text : `${text}.0`;
}
