/** Reads conformance vectors and compares answers with them, as conformance/README.md says. */

import { readdirSync, readFileSync } from "node:fs";
import { AmusedEdgeError } from "../../src/index.js";
import { VECTORS } from "./paths.js";

// biome-ignore lint/suspicious/noExplicitAny: each set has values of its own
export type Values = Record<string, any>;
export type Answer = (given: Values) => Values | Promise<Values>;

export interface VectorSet {
  readonly set: string;
  readonly tolerance: Readonly<Record<string, { absolute: number; relative: number }>>;
  readonly cases: readonly { given: Values; expect: Values }[];
}

/** Return the names of all sets of the kit. */
export function setNames(): string[] {
  return readdirSync(VECTORS)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .sort();
}

export function readSet(name: string): VectorSet {
  return JSON.parse(readFileSync(`${VECTORS}${name}.json`, "utf8"));
}

/** Return where the answer to a case is not the one that is expected. */
export async function differences(set: VectorSet, place: number, answer: Answer): Promise<string[]> {
  const { given, expect } = set.cases[place];
  return compare(expect, await answered(answer, given), set.tolerance, "");
}

/** Return an answer; of an error its kind. */
async function answered(answer: Answer, given: Values): Promise<Values> {
  try {
    return await answer(given);
  } catch (error) {
    if (error instanceof AmusedEdgeError) {
      return { error: error.name };
    }
    throw error;
  }
}

function compare(expected: unknown, found: unknown, tolerance: VectorSet["tolerance"], place: string): string[] {
  if (Array.isArray(expected) && isList(found) && expected.length === found.length) {
    return expected.flatMap((value, i) => compare(value, found[i], tolerance, `${place}[${i}]`));
  }
  if (
    isObject(expected) &&
    isObject(found) &&
    String(Object.keys(expected).sort()) === String(Object.keys(found).sort())
  ) {
    return Object.keys(expected).flatMap((name) =>
      compare(expected[name], found[name], tolerance, place ? `${place}.${name}` : name),
    );
  }
  const field = place.split(".").at(-1)?.split("[")[0] ?? "";
  return equal(expected, found, tolerance[field]) ? [] : [`${place} is ${short(found)}, not ${short(expected)}`];
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function isObject(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !isList(value);
}

function equal(expected: unknown, found: unknown, far: { absolute: number; relative: number } | undefined): boolean {
  if (expected === null) {
    return found === null || found === undefined || found === Number.POSITIVE_INFINITY;
  }
  if (typeof expected !== "number" || typeof found !== "number") {
    return expected === found;
  }
  if (far) {
    return Math.abs(found - expected) <= far.absolute + far.relative * Math.abs(expected);
  }
  // Floats stand in the files as short decimals of float32.
  return found === expected || (!Number.isSafeInteger(expected) && Math.fround(expected) === Math.fround(found));
}

function short(value: unknown): string {
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part)) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
