/** Text to token ids: the checkpoint's CLIP byte-pair encoding, read from the bundle's `tokenizer.json`. */

import { type Json, parseJson } from "../bundle/json.js";
import { Fields } from "../bundle/json-fields.js";
import { checkText } from "../checks.js";
import { BundleError, quoted } from "../errors.js";
import { type AddedToken, type Part, readAddedToken, splitAtTokens } from "./added-tokens.js";
import { BytePairs } from "./byte-pairs.js";
import { characterKind, replaceSpaces } from "./characters.js";

const CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

/** What CLIP takes for a word, as files write it; in those of newer versions two tokens stand before it. */
const TOKENS = "<\\|startoftext\\|>|<\\|endoftext\\|>|";
const LITERALS = ["<|startoftext|>", "<|endoftext|>"];
const WORDS = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

const NORMALIZER: Json = {
  type: "Sequence",
  normalizers: [{ type: "NFC" }, { type: "Replace", pattern: { Regex: "\\s+" }, content: " " }, { type: "Lowercase" }],
};

const MODEL: Parts = {
  type: "BPE",
  dropout: null,
  continuing_subword_prefix: "",
  end_of_word_suffix: "</w>",
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};

type Parts = { [name: string]: Json };

function preTokenizer(pattern: string): Json {
  return {
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: pattern }, behavior: "Removed", invert: true },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    ],
  };
}

/** Ids of a prompt. */
export interface Encoded {
  /** Start token, text cut to fit, end token, padding. */
  readonly ids: Int32Array;
  /** What was cut off; undefined: nothing. */
  readonly cut: string | undefined;
}

/** Reads `tokenizer.json`, which carries its padding and truncation with it. */
export class PromptTokenizer {
  readonly #length: number;
  readonly #pad: number;
  readonly #start: number;
  readonly #end: number;
  readonly #words: BytePairs;
  readonly #given: readonly AddedToken[];
  readonly #normalized: readonly AddedToken[];
  readonly #literals: readonly string[];

  /**
   * @param text of the file
   * @param length ids per prompt that the text encoder takes (77 for CLIP)
   * @throws BundleError if the file is no CLIP tokenizer, or does not pad and truncate to `length`
   */
  constructor(text: string, length: number) {
    const fields = new Fields(parsed(text), "tokenizer.json", "export the bundle again");
    checkLength(fields, length);
    this.#literals = checkPipeline(fields);
    this.#length = length;
    this.#pad = fields.child("padding").get("pad_id", "int");
    const ends = fields.child("post_processor");
    this.#start = end(ends, "cls");
    this.#end = end(ends, "sep");
    const model = fields.child("model");
    const ids = readVocabulary(model);
    const unknown = ids.get(model.get("unk_token", "string"));
    if (unknown === undefined) {
      throw new BundleError("tokenizer.json: its unk_token is no token; export the bundle again");
    }
    this.#words = new BytePairs(ids, readMerges(model), unknown, model.get("end_of_word_suffix", "string"));
    const added = fields.items("added_tokens", readAddedToken).filter((token) => token.content);
    this.#given = added.filter((token) => !token.normalized);
    this.#normalized = added
      .filter((token) => token.normalized)
      .map((token) => ({ ...token, content: normalize(token.content) }));
  }

  /** Return the ids of a prompt. */
  encode(prompt: string): Encoded {
    checkText(prompt);
    const parts = splitAtTokens(prompt, this.#given).flatMap((part) =>
      typeof part === "number" ? [part] : splitAtTokens(normalize(part), this.#normalized),
    );
    const words = parts.flatMap((part): Part[] => (typeof part === "number" ? [part] : this.#split(part)));
    const ids = new Int32Array(this.#length).fill(this.#pad);
    ids[0] = this.#start;
    let count = 1;
    let cut: string | undefined;
    for (const [i, word] of words.entries()) {
      for (const id of typeof word === "number" ? [word] : this.#words.ids(word)) {
        if (count === this.#length - 1) {
          cut ??= words.slice(i).join(" ");
        } else {
          ids[count++] = id;
        }
      }
    }
    ids[count] = this.#end;
    return { ids, cut };
  }

  /** Split a text into words; a special token that was left in it is one by itself, and split again. */
  #split(text: string): string[] {
    return split(text, this.#literals).flatMap((word) => (this.#literals.includes(word) ? split(word, []) : [word]));
  }
}

/** Compose characters, make white space one space, and lower case one by one: a final sigma is like any other. */
function normalize(text: string): string {
  let made = "";
  for (const letter of replaceSpaces(text.normalize("NFC"), " ")) {
    made += letter.toLowerCase();
  }
  return made;
}

/** Split a text into contractions, runs of letters, single numbers and runs of others; white space is left out. */
function split(text: string, literals: readonly string[]): string[] {
  const words: string[] = [];
  for (let at = 0; at < text.length; ) {
    const kind = kindAt(text, at);
    const fixed = [...literals, ...CONTRACTIONS].find((word) => text.startsWith(word, at));
    let end = at + (fixed?.length ?? width(text, at));
    if (fixed === undefined && (kind === "letter" || kind === "other")) {
      while (end < text.length && kindAt(text, end) === kind) {
        end += width(text, end);
      }
    }
    if (kind !== "white") {
      words.push(text.slice(at, end));
    }
    at = end;
  }
  return words;
}

function kindAt(text: string, at: number): string {
  return characterKind(text.codePointAt(at) ?? 0);
}

function width(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

function parsed(text: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    throw new BundleError(
      `tokenizer.json is not a tokenizer: it is not JSON (${(error as Error).message}); export the bundle again`,
    );
  }
}

function checkLength(fields: Fields, length: number): void {
  const size = BigInt(length);
  const padding = { direction: "Right", pad_to_multiple_of: null, strategy: { Fixed: size } };
  const truncation = { direction: "Right", max_length: size, strategy: "LongestFirst", stride: 0n };
  const fits =
    same(fields.raw("padding"), padding, ["pad_id", "pad_type_id", "pad_token"]) &&
    same(fields.raw("truncation"), truncation);
  if (!fits) {
    throw new BundleError(`tokenizer.json does not pad and truncate to ${length} ids; export the bundle again`);
  }
}

function end(processor: Fields, name: string): number {
  const id = processor.get(name, "list")[1];
  if (typeof id !== "bigint" || id < 0n || id >= 1n << 31n) {
    throw new BundleError(`tokenizer.json: ${name} has no id; export the bundle again`);
  }
  return Number(id);
}

/** Refuse a tokenizer that does not do what CLIP's does; return the special tokens that its pattern names. */
function checkPipeline(fields: Fields): readonly string[] {
  const found = fields.raw("pre_tokenizer");
  const literals = same(found, preTokenizer(TOKENS + WORDS));
  const decoder = fields.raw("decoder");
  const known =
    same(fields.raw("normalizer"), NORMALIZER) &&
    (literals || same(found, preTokenizer(WORDS))) &&
    same(fields.raw("post_processor"), { type: "RobertaProcessing" }, [
      "sep",
      "cls",
      "trim_offsets",
      "add_prefix_space",
    ]) &&
    (decoder === null || same(decoder, { type: "ByteLevel" }, ["trim_offsets", "add_prefix_space", "use_regex"])) &&
    same(fields.raw("model"), MODEL, ["unk_token", "vocab", "merges"]);
  if (!known) {
    throw new BundleError(
      "tokenizer.json is no CLIP tokenizer, which this runtime alone reads; export the bundle again",
    );
  }
  return literals ? LITERALS : [];
}

/** Say whether two parts are the same, whatever they say of what is free. */
function same(one: Json, other: Json, free: readonly string[] = []): boolean {
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) {
    return one === other;
  }
  const values = one as Parts;
  const others = other as Parts;
  return (
    Array.isArray(one) === Array.isArray(other) &&
    Object.keys({ ...values, ...others }).every((name) => free.includes(name) || same(values[name], others[name]))
  );
}

function readVocabulary(model: Fields): Map<string, number> {
  const vocabulary = model.child("vocab");
  return new Map(vocabulary.names.map((symbol) => [symbol, vocabulary.get(symbol, "int")]));
}

/** Return pairs of symbols; older files write them with a space between. */
function readMerges(model: Fields): [string, string][] {
  return model.get("merges", "list").map((merge) => {
    const symbols = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(symbols) || symbols.length !== 2 || !symbols.every((symbol) => typeof symbol === "string")) {
      throw new BundleError(`tokenizer.json: ${quoted(merge)} is no pair of symbols; export the bundle again`);
    }
    return [symbols[0] as string, symbols[1] as string];
  });
}
