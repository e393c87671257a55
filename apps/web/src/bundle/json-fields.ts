/** Reads typed fields out of parsed JSON; every mistake is an error that names the place. */

import { type AmusedEdgeError, BundleError, quoted } from "../errors.js";
import type { Json } from "./json.js";

interface Kinds {
  string: string;
  /** A whole number. */
  int: number;
  bigint: bigint;
  /** A whole number counts as one. */
  float: number;
  list: Json[];
  object: { [name: string]: Json };
}

export const DAMAGED = "the bundle is damaged, make it again";

/** A JSON object and where it stands, for example `manifest.json: graphs.denoiser`. */
export class Fields {
  readonly #value: { [name: string]: Json };
  readonly #where: string;
  readonly #advice: string;
  readonly #refusal: (message: string) => AmusedEdgeError;

  /**
   * @param advice what every error ends with
   * @param refusal makes the error of a message
   */
  constructor(
    value: Json | undefined,
    where: string,
    advice = DAMAGED,
    refusal: (message: string) => AmusedEdgeError = (message) => new BundleError(message),
  ) {
    if (kindOf(value) !== "object") {
      throw refusal(`${where} is not a JSON object; ${advice}`);
    }
    this.#value = value as { [name: string]: Json };
    this.#where = where;
    this.#advice = advice;
    this.#refusal = refusal;
  }

  get names(): string[] {
    return Object.keys(this.#value);
  }

  /** Return a field that must be there, of whatever type. */
  raw(name: string): Json {
    if (!Object.hasOwn(this.#value, name)) {
      throw this.#refusal(`${this.#where} lacks ${quoted(name)}; ${this.#advice}`);
    }
    return this.#value[name];
  }

  /** Return a field that must be there and of this kind. */
  get<K extends keyof Kinds>(name: string, kind: K): Kinds[K] {
    const value = this.raw(name);
    const found = kindOf(value);
    if (kind === "int" || kind === "float") {
      const number = found === "int" ? Number(value) : Number.NaN;
      if (found === "float" && kind === "float") {
        return value as Kinds[K];
      }
      if (Number.isFinite(number)) {
        return number as Kinds[K];
      }
    } else if (found === (kind === "bigint" ? "int" : kind)) {
      return value as Kinds[K];
    }
    throw this.#refusal(`${this.#where}: ${quoted(name)} is ${quoted(value)}, not a ${kind}; ${this.#advice}`);
  }

  /** Return a list whose members are all of this kind. */
  values<K extends keyof Kinds>(name: string, kind: K): Kinds[K][] {
    return this.get(name, "list").map((value) => this.#inner({ [name]: value }, "").get(name, kind));
  }

  /** Return a field that is itself an object. */
  child(name: string): Fields {
    return this.#inner(this.get(name, "object"), `: ${name}`);
  }

  /** Return a field that is itself an object; undefined where it is null. */
  optional(name: string): Fields | undefined {
    return this.raw(name) === null ? undefined : this.child(name);
  }

  /** Build one value from each object of a list. */
  items<T>(name: string, build: (fields: Fields) => T): T[] {
    return this.get(name, "list").map((value, i) => build(this.#inner(value, `: ${name}[${i}]`)));
  }

  /** Build one value from each object of an object. */
  table<T>(name: string, build: (fields: Fields) => T): Record<string, T> {
    const members = Object.entries(this.get(name, "object"));
    return Object.fromEntries(members.map(([key, value]) => [key, build(this.#inner(value, `: ${name}.${key}`))]));
  }

  #inner(value: Json, place: string): Fields {
    return new Fields(value, this.#where + place, this.#advice, this.#refusal);
  }
}

function kindOf(value: Json | undefined): string {
  if (typeof value === "bigint") {
    return "int";
  }
  if (typeof value === "number") {
    return "float";
  }
  return Array.isArray(value) ? "list" : value === null ? "null" : typeof value;
}
