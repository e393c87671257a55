/**
 * What reads bytes that others made takes whatever comes, or throws one of the library's own errors. fast-check makes the
 * changes, always the same; FUZZ_RUNS asks for more of them, FUZZ_SEED for others.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { readGolden } from "../src/bundle/golden.js";
import { dumpJson, parseJson } from "../src/bundle/json.js";
import { readManifest } from "../src/bundle/manifest.js";
import { PromptTokenizer } from "../src/drawing/tokenizer.js";
import { externalData } from "../src/engines/external-data.js";
import { AmusedEdgeError, BundleError } from "../src/errors.js";
import { pngOf, readPng } from "../src/node/png.js";
import { parametersFromText, parametersToText } from "../src/tasks/parameters.js";
import { hashOf, stateFromText } from "../src/tasks/state.js";
import { DEMO } from "./support/paths.js";
import { internationalText, pngOfRows } from "./support/png-files.js";
import { readSet } from "./support/vectors.js";

const RUNS = { numRuns: Number(process.env.FUZZ_RUNS ?? 100), seed: Number(process.env.FUZZ_SEED ?? 1) };

type Tree = null | boolean | number | string | Tree[] | { [name: string]: Tree };

/** Values that stand where others are expected. */
const odd = fc.oneof(
  fc.constantFrom<Tree>(
    null,
    true,
    0,
    -1,
    1.5,
    2 ** 31,
    2 ** 53,
    1e308,
    "",
    "..",
    "/etc/passwd",
    "a\0b",
    "\ud800",
    [],
    {},
  ),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Tree>,
);
const edit = fc.record({ place: fc.nat(), kind: fc.nat(3), value: odd });

/** Yield what holds values, and under which names. */
function* places(tree: Tree): Generator<[Record<string, Tree>, string]> {
  if (tree !== null && typeof tree === "object") {
    const holder = tree as Record<string, Tree>;
    for (const name of Object.keys(holder)) {
      yield [holder, name];
      yield* places(holder[name] as Tree);
    }
  }
}

function changed(text: string, edits: readonly { place: number; kind: number; value: Tree }[]): Tree {
  const tree = JSON.parse(text) as Tree;
  for (const { place, kind, value } of edits) {
    const all = [...places(tree)];
    const [holder, name] = all[place % Math.max(1, all.length)] ?? [undefined, ""];
    if (holder === undefined) {
      continue;
    }
    if (kind === 0 && !Array.isArray(holder)) {
      delete holder[name];
    } else if (kind === 1 && Array.isArray(holder)) {
      holder.push(structuredClone(holder[Number(name)] as Tree));
    } else {
      holder[name] = structuredClone(value);
    }
  }
  return tree;
}

/** Run what may refuse its input with an error of the library, or with one of which its callers make that. */
function taken(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof AmusedEdgeError || error instanceof SyntaxError)) {
      throw error;
    }
    assert.ok(!error.message.includes("\n") && error.message.length < 4000, error.message);
  }
}

function texts(
  seeds: readonly string[],
  read: (text: string) => unknown,
  sealed = (tree: Tree) => JSON.stringify(tree),
) {
  const edits = fc.array(edit, { minLength: 1, maxLength: 4 });
  const one = fc.property(fc.constantFrom(...seeds), edits, (text, list) =>
    taken(() => read(sealed(changed(text, list)))),
  );
  fc.assert(one, RUNS);
  const cut = fc.property(fc.constantFrom(...seeds), fc.nat(), fc.string({ maxLength: 8 }), (text, at, piece) => {
    const place = at % (text.length + 1);
    taken(() => read(text.slice(0, place) + piece + text.slice(place + piece.length)));
  });
  fc.assert(cut, RUNS);
}

function bytes(seeds: readonly Uint8Array[], read: (content: Uint8Array) => unknown): void {
  const change = fc.record({ at: fc.nat(), with: fc.uint8Array({ minLength: 1, maxLength: 8 }), cut: fc.boolean() });
  const one = fc.property(
    fc.constantFrom(...seeds),
    fc.array(change, { minLength: 1, maxLength: 4 }),
    (seed, changes) => {
      let content = Uint8Array.from(seed);
      for (const { at, with: piece, cut } of changes) {
        const place = at % content.length;
        content.set(piece.subarray(0, content.length - place), place);
        if (cut && place > 0) {
          content = content.slice(0, place);
        }
      }
      taken(() => read(content));
    },
  );
  fc.assert(one, RUNS);
}

const STATES = readSet("states")
  .cases.map(({ given }) => String(given.text))
  .slice(0, 4);

/** Give a state the hash that fits it, without which all else would go unread. */
function sealedState(tree: Tree): string {
  if (tree === null || typeof tree !== "object" || Array.isArray(tree)) {
    return JSON.stringify(tree);
  }
  const { sha256: _, ...rest } = tree;
  const content = parseJson(JSON.stringify(rest)) as { [name: string]: never };
  return dumpJson({ ...content, sha256: hashOf(content) });
}

test("manifests", () => texts([readFileSync(`${DEMO}/manifest.json`, "utf8")], readManifest));

test("golden pictures", () => texts([readFileSync(`${DEMO}/golden.json`, "utf8")], readGolden));

test("states", () => texts(STATES, stateFromText, sealedState));

test("parameters", () => {
  const parameters = STATES.map((text) => JSON.stringify(JSON.parse(text).parameters));
  texts(parameters, parametersFromText);
});

/** The demo's tokenizer with few words. */
function smallTokenizer() {
  const content = JSON.parse(readFileSync(`${DEMO}/tokenizer.json`, "utf8"));
  const few = Object.entries(content.model.vocab).filter(([name, id]) => Number(id) < 30 || name.startsWith("<|"));
  content.model = { ...content.model, vocab: Object.fromEntries(few), merges: [] };
  return content;
}

test("tokenizers", () => {
  texts([JSON.stringify(smallTokenizer())], (text) => new PromptTokenizer(text, 77).encode("a fox, é\u202e"));
});

test("a tokenizer whose replacement is a number is refused as any other", () => {
  const content = smallTokenizer();
  content.normalizer.normalizers[1].content = 7; // it ended in "Do not know how to serialize a BigInt"
  assert.throws(() => new PromptTokenizer(JSON.stringify(content), 77), BundleError);
});

test("pictures", () => {
  const image = { width: 4, height: 4, data: Uint8Array.from({ length: 48 }, (_, index) => index * 5) };
  const parameters = parametersFromText(JSON.stringify(JSON.parse(STATES[0] as string).parameters));
  const text = deflateSync(parametersToText(parameters));
  const pythons = pngOfRows(4, 4, new Uint8Array(52), [internationalText("amused-edge", text, true)]);
  bytes([pngOf(image, parameters), pngOf(image), pythons], readPng);
});

test("references to external data", () => {
  bytes([new Uint8Array(readFileSync(`${DEMO}/image_encoder.onnx`)).slice(0, 3000)], externalData);
});
