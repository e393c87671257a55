import assert from "node:assert/strict";
import { test } from "node:test";
import { checkText, choice, realNumber, wholeBigInt, wholeNumber } from "../src/checks.js";
import { OptionsError, StateError } from "../src/errors.js";
import { checkedSeed, checkedSettings, type GenerationOptions, isGuided, settingsOf } from "../src/sampling/options.js";
import { parametersFromText } from "../src/tasks/parameters.js";
import { DEFAULTS } from "./support/sampling.js";

/** Say that something is refused as an option, with a message of these words. */
function refused(run: () => unknown, ...words: string[]): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof OptionsError, String(error));
    for (const word of words) {
      assert.ok(error.message.includes(word), `"${error.message}" lacks "${word}"`);
    }
    return true;
  });
}

const NOT_NUMBERS = ["1", null, undefined, true, [1], {}, Number.NaN];

test("whole numbers are taken from the least to the most, as a number or a bigint", () => {
  for (const value of [3, 3n, 7, 7n]) {
    assert.equal(wholeNumber("n", value, 3, 7), Number(value));
    assert.equal(wholeBigInt("n", value, 3n, 7n), BigInt(value));
  }
  assert.equal(wholeNumber("n", Number.MAX_SAFE_INTEGER, 0), Number.MAX_SAFE_INTEGER);
  assert.equal(wholeBigInt("n", 2n ** 64n, 0n, 2n ** 64n), 2n ** 64n);
  refused(() => wholeNumber("n", 2, 3, 7), "n is 2;", "3 or more");
  refused(() => wholeNumber("n", 8n, 3, 7), "n is 8;", "7 or less");
  refused(() => wholeNumber("n", 2n ** 53n, 0), `${2 ** 53 - 1} or less`);
  for (const value of [...NOT_NUMBERS, 4.5, 2 ** 53, Number.POSITIVE_INFINITY]) {
    refused(() => wholeNumber("n", value, 3, 7), "n is ", "must be a whole number");
  }
});

test("numbers are taken from 0 to a million", () => {
  for (const value of [0, 0.5, 1e6]) {
    assert.equal(realNumber("x", value), value);
  }
  for (const value of [-0.001, 1e6 + 0.001, Number.POSITIVE_INFINITY]) {
    refused(() => realNumber("x", value), `x is ${value}; it must be between 0 and 1000000`);
  }
  for (const value of [...NOT_NUMBERS, 1n]) {
    refused(() => realNumber("x", value), "x is ", "it must be a number");
  }
});

test("one of several words is taken, and nothing that only looks like one", () => {
  assert.equal(choice("order", "b", ["a", "b"]), "b");
  for (const value of ["c", "", "A", undefined, 0, ["a"], new String("a")]) {
    refused(() => choice("order", value, ["a", "b"]), "order is ", "choose one of: a, b");
  }
});

test("a prompt is a text of Unicode, of ten million characters at most", () => {
  checkText("");
  checkText("🦊".repeat(5_000_000));
  refused(() => checkText("a".repeat(10_000_001)), "10000001 characters");
  refused(() => checkText("a\ud83d"), "not valid Unicode");
});

test("every setting is taken within its range", () => {
  const taken: Partial<Record<keyof typeof DEFAULTS, unknown[]>> = {
    steps: [1, 10_000],
    guidanceScale: [0, 1.5, 1e6],
    temperature: [0, 1e6, [2, 0], [0, 1e6]],
    schedule: ["cosine", "linear"],
    guidanceRamp: ["constant", "linear", "cosine"],
    guidanceInterval: [
      [0, 1],
      [0, 0],
      [0.25, 0.25],
      [1, 1],
    ],
    order: ["confidence", "halton"],
  };
  for (const [name, values] of Object.entries(taken)) {
    for (const value of values) {
      const expected = { ...DEFAULTS, [name]: value };
      assert.deepEqual(checkedSettings(expected), expected);
      assert.deepEqual(settingsOf({ [name]: value, seed: 1 } as GenerationOptions, DEFAULTS), expected);
      assert.deepEqual(settingsOf({ seed: 1 }, expected as typeof DEFAULTS), expected);
    }
  }
});

test("a setting out of its range is refused by the name it was given by", () => {
  const wrong: [string, unknown, string][] = [
    ["steps", 0, "1 or more"],
    ["steps", 10_001, "10000 or less"],
    ["guidanceScale", -1, "between 0 and"],
    ["temperature", -1, "between 0 and"],
    ["temperature", [1], "a pair [first, last]"],
    ["temperature", [1, 0, 0], "a pair [first, last]"],
    ["temperature", [-1, 0], "between 0 and"],
    ["temperature", [0, "1"], "must be a number"],
    ["schedule", "sine", "cosine, linear"],
    ["guidanceRamp", "sine", "constant, linear, cosine"],
    ["guidanceInterval", 0.5, "a pair [begin, end]"],
    ["guidanceInterval", [0.5], "a pair [begin, end]"],
    ["guidanceInterval", [0, 0.5, 1], "a pair [begin, end]"],
    ["guidanceInterval", { length: 2, 0: 0, 1: 1 }, "a pair [begin, end]"],
    ["guidanceInterval", [-0.5, 1], "between 0 and"],
    ["guidanceInterval", [0, 1.5], "must rise within 0 to 1"],
    ["guidanceInterval", [0.6, 0.5], "must rise within 0 to 1"],
    ["order", "random", "confidence, halton"],
  ];
  for (const [name, value, said] of wrong) {
    const given = { ...DEFAULTS, [name]: value };
    refused(() => checkedSettings(given), `${name} is `, said);
    refused(() => settingsOf({ [name]: value } as GenerationOptions, DEFAULTS), `${name} is `, said);
    if (name !== "temperature") {
      refused(() => checkedSettings(given, (own) => `--${own}`), `--${name} is `);
    }
  }
});

test("a seed is a whole number of 64 bits", () => {
  assert.equal(checkedSeed(0), 0n);
  assert.equal(checkedSeed(2n ** 64n - 1n), 2n ** 64n - 1n);
  refused(() => checkedSeed(-1), "seed is -1;", "0 or more");
  refused(() => checkedSeed(2n ** 64n), "seed is 18446744073709551616", "18446744073709551615 or less");
});

test("a run is guided if one of its steps is", () => {
  const guided = (options: GenerationOptions): boolean => isGuided(settingsOf(options, DEFAULTS));
  assert.ok(guided({}));
  assert.ok(guided({ steps: 1, guidanceScale: 1.001 }));
  assert.ok(!guided({ guidanceScale: 1 }));
  // Of 4 steps the middles are 0.125, 0.375, 0.625 and 0.875.
  assert.ok(guided({ steps: 4, guidanceInterval: [0.125, 0.125] }));
  assert.ok(guided({ steps: 4, guidanceInterval: [0.875, 1] }));
  assert.ok(!guided({ steps: 4, guidanceInterval: [0.876, 1] }));
  assert.ok(!guided({ steps: 4, guidanceInterval: [0.4, 0.6] }));
  assert.ok(!guided({ steps: 4, guidanceRamp: "linear", guidanceInterval: [0, 0.3] }), "a ramp begins at 1");
  assert.ok(guided({ steps: 4, guidanceRamp: "linear", guidanceInterval: [0, 0.4] }));
});

test("what only another runtime can do is refused", () => {
  const given = (options: object) => settingsOf(options as GenerationOptions, DEFAULTS);
  assert.deepEqual(
    given({ entropyBound: undefined, signal: new AbortController().signal, onStep: () => {} }),
    DEFAULTS,
  );
  for (const name of ["entropyBound", "entropy_bound", "guidance_scale"]) {
    assert.throws(
      () => given({ [name]: 2.5 }),
      (error) => error instanceof OptionsError && error.message.includes(`"${name}"`),
    );
  }
  const drawn = { format: "amused-edge picture", version: 3, settings: { steps: 12, entropy_bound: 2.5 } };
  assert.throws(
    () => parametersFromText(JSON.stringify(drawn)),
    (error) => error instanceof StateError && error.message.includes("another format or version"),
  );
});
