/** A bundle's golden input and output as stored: a few numbers that show whether an engine computes it rightly. */

import { BundleError } from "../errors.js";
import { type Json, parseJson } from "./json.js";
import { Fields } from "./json-fields.js";

/** How far an engine may be from the golden output. */
export interface Tolerance {
  /** Largest |difference| relative to the largest |logit|. */
  readonly logits: number;
  /** Largest difference, of 255. */
  readonly pixels: number;
}

/** What the graphs give for `prompt` with seed 0 and the bundle's own settings. */
export interface Golden {
  readonly prompt: string;
  readonly inputIds: readonly number[];
  /** Of the first step without guidance: the first codes of the grid's first token. */
  readonly logits: readonly number[];
  /** The finished grid, row by row. */
  readonly tokens: readonly number[];
  /** The picture's top left corner, row by row, channels last. */
  readonly pixels: readonly number[];
  readonly tolerance: Tolerance;
}

/** Parse `golden.json`; throws `BundleError` if it is damaged. */
export function readGolden(text: string): Golden {
  let content: Json;
  try {
    content = parseJson(text, true);
  } catch (error) {
    throw new BundleError(`golden.json is not JSON (${(error as Error).message}); copy the bundle again`);
  }
  const fields = new Fields(content, "golden.json");
  const tolerance = fields.child("tolerance");
  return {
    prompt: fields.get("prompt", "string"),
    inputIds: fields.values("input_ids", "int"),
    logits: fields.values("logits", "float"),
    tokens: fields.values("tokens", "int"),
    pixels: fields.values("pixels", "int"),
    tolerance: { logits: tolerance.get("logits", "float"), pixels: tolerance.get("pixels", "int") },
  };
}
