/** Finds the special and added tokens in a text before it is split into words, as the tokenizers library does. */

import type { Fields } from "../bundle/json-fields.js";
import { characterKind } from "./characters.js";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Found only where no letter stands beside it. */
  readonly singleWord: boolean;
  /** Takes the white space on its left, on its right, with it. */
  readonly leftStrip: boolean;
  readonly rightStrip: boolean;
  /** Looked for in the normalized text, else in the text as it was given. */
  readonly normalized: boolean;
}

/** A part of a text: an added token's id, or text without any. */
export type Part = number | string;

export function readAddedToken(fields: Fields): AddedToken {
  return {
    id: fields.get("id", "int"),
    content: fields.get("content", "string"),
    singleWord: fields.raw("single_word") === true,
    leftStrip: fields.raw("lstrip") === true,
    rightStrip: fields.raw("rstrip") === true,
    normalized: fields.raw("normalized") === true,
  };
}

/** Split a text at the tokens in it: the leftmost first, of several at one place the longest. */
export function splitAtTokens(text: string, tokens: readonly AddedToken[]): Part[] {
  const parts: Part[] = [];
  let begin = 0;
  for (let at = 0; at < text.length; ) {
    const token = longestAt(text, at, tokens);
    if (token === undefined) {
      at++;
      continue;
    }
    const end = at + token.content.length;
    if (token.singleWord && (isWord(text.slice(0, at), true) || isWord(text.slice(end), false))) {
      at = end;
      continue;
    }
    const from = token.leftStrip ? Math.max(begin, spacesBefore(text, at)) : at;
    if (begin < from) {
      parts.push(text.slice(begin, from));
    }
    parts.push(token.id);
    begin = token.rightStrip ? spacesBehind(text, end) : end;
    at = end;
  }
  if (begin < text.length) {
    parts.push(text.slice(begin));
  }
  return parts;
}

/** Return where the white space that ends at a place begins. */
function spacesBefore(text: string, at: number): number {
  let begin = at;
  while (begin > 0 && characterKind(text.charCodeAt(begin - 1)) === "white") {
    begin--;
  }
  return begin;
}

/** Return where the white space that begins at a place ends. */
function spacesBehind(text: string, at: number): number {
  let end = at;
  while (end < text.length && characterKind(text.charCodeAt(end)) === "white") {
    end++;
  }
  return end;
}

/** Say whether a text ends, or begins, with a character of words; old engines, which cannot tell, know ASCII's. */
function isWord(text: string, atEnd: boolean): boolean {
  let word = "\\w";
  try {
    word = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u.source;
  } catch {
    // an engine without classes of Unicode
  }
  return new RegExp(atEnd ? `${word}$` : `^${word}`, word.length > 2 ? "u" : "").test(text);
}

function longestAt(text: string, at: number, tokens: readonly AddedToken[]): AddedToken | undefined {
  let longest: AddedToken | undefined;
  for (const token of tokens) {
    if (text.startsWith(token.content, at) && token.content.length > (longest?.content.length ?? 0)) {
      longest = token;
    }
  }
  return longest;
}
