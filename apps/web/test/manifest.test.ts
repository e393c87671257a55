import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readGolden } from "../src/bundle/golden.js";
import { type Json, parseJson } from "../src/bundle/json.js";
import { Fields } from "../src/bundle/json-fields.js";
import { allFiles, checkedMicroConditioning, readManifest } from "../src/bundle/manifest.js";
import { BundleError, OptionsError, StateError } from "../src/errors.js";
import { DEMO } from "./support/paths.js";
import type { Values } from "./support/vectors.js";

const MANIFEST = readFileSync(`${DEMO}/manifest.json`, "utf8");
const GOLDEN = readFileSync(`${DEMO}/golden.json`, "utf8");

/** Say that something is refused as damaged, with a message of this kind. */
function refused(run: () => unknown, said: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof BundleError, String(error));
    assert.match(error.message, said);
    return true;
  });
}

/** Return a file's text with other values at some places, as in `{"geometry.text_length": 5}`. */
function changed(text: string, changes: Record<string, unknown>): string {
  const content = JSON.parse(text);
  for (const [place, value] of Object.entries(changes)) {
    const path = place.split(".");
    const parent = path.slice(0, -1).reduce((inner: Values, name) => inner[name], content);
    parent[path.at(-1) as string] = value;
  }
  return JSON.stringify(content);
}

/** Return an object with its names as in TypeScript: `guidanceScale` for `guidance_scale`. */
function named(content: Values): Values {
  const camel = (name: string) => name.replace(/_[a-z]/g, (two) => two.slice(1).toUpperCase());
  return Object.fromEntries(Object.entries(content).map(([name, value]) => [camel(name), value]));
}

test("a manifest is read as it is written, with names as in TypeScript", () => {
  const content = JSON.parse(MANIFEST);
  const manifest = readManifest(MANIFEST);
  assert.equal(manifest.target, "onnx");
  assert.deepEqual(manifest.model, content.model);
  assert.deepEqual(manifest.geometry, named(content.geometry));
  assert.deepEqual(manifest.sampler, named(content.sampler));
  assert.deepEqual(manifest.microConditioning, named(content.micro_conditioning));
  assert.deepEqual(manifest.engine, named(content.engine));
  assert.deepEqual(manifest.tools, content.tools);
  assert.deepEqual([manifest.parity, manifest.simulated], [undefined, undefined]);
  assert.equal(manifest.quantization?.recipe.name, "w8");
  const paths = ["tokenizer.json", "golden.json"];
  for (const graph of Object.values<Values>(content.graphs)) {
    paths.push(...graph.files.map((file: Values) => file.path));
  }
  assert.deepEqual(
    allFiles(manifest).map((file) => file.path),
    paths,
  );
});

test("a manifest is taken with the least and the most that it may say", () => {
  const most = 2 ** 20 - 1;
  for (const name of ["image_height", "image_width", "grid_height", "grid_width", "text_length"]) {
    for (const value of [1, most]) {
      readManifest(changed(MANIFEST, { [`geometry.${name}`]: value }));
    }
    for (const value of [0, -1, most + 1]) {
      const said = new RegExp(`the geometry's ${name} is ${value}; it must be between 1 and ${most}`);
      refused(() => readManifest(changed(MANIFEST, { [`geometry.${name}`]: value })), said);
    }
  }
  const codes = (size: number, mask: number) =>
    readManifest(changed(MANIFEST, { "geometry.codebook_size": size, "geometry.mask_token_id": mask })).geometry;
  assert.equal(codes(1, 1).maskTokenId, 1);
  assert.equal(codes(300, 300).codebookSize, 300);
  refused(() => codes(300, 299), /mask_token_id 299 is one of the 300 codes/);
  for (const version of [0, -1]) {
    const said = new RegExp(`manifest.json: there is no schema version ${version}; the bundle is damaged`);
    refused(() => readManifest(changed(MANIFEST, { schema_version: version })), said);
  }
  refused(() => readManifest(changed(MANIFEST, { schema_version: 2 })), /schema version 2, .* reads up to 1; upgrade/);
  assert.equal(readManifest(changed(MANIFEST, { "engine.optimize": "cpu" })).engine.optimize, "cpu");
  const fast = changed(MANIFEST, { "engine.optimize": "fast" });
  refused(() => readManifest(fast), /manifest.json: optimize is "fast"; .* portable, cpu/);
  refused(() => readManifest("{"), /manifest.json is not JSON/);
  refused(() => readManifest(MANIFEST.replace('"schema_version": 1', '"schema_version": NaN')), /not JSON/);
  refused(() => readManifest(changed(MANIFEST, { quantization: 1 })), /"quantization" is 1/);
});

test("what a manifest says of the loop is an option's, and refused by the name it has there", () => {
  const whole = changed(MANIFEST, {
    "sampler.guidance_scale": 3,
    "sampler.temperature": [2, 0],
    "sampler.guidance_interval": [0, 1],
    "micro_conditioning.crop_top": -1e9,
    "micro_conditioning.crop_left": 1e9,
  });
  const { sampler, microConditioning } = readManifest(whole);
  assert.deepEqual([sampler.guidanceScale, sampler.temperature, sampler.guidanceInterval], [3, [2, 0], [0, 1]]);
  assert.deepEqual(microConditioning, { cropTop: -1e9, cropLeft: 1e9, aestheticScore: 6 });
  assert.equal(readManifest(changed(MANIFEST, { "sampler.temperature": 1 })).sampler.temperature, 1);
  const wrong: [string, unknown, RegExp][] = [
    ["sampler.steps", 0, /manifest.json: sampler: steps is 0/],
    ["sampler.guidance_scale", "3", /manifest.json: sampler: guidance_scale is "3"/],
    ["sampler.guidance_interval", [1, 0], /manifest.json: sampler: guidance_interval is \[1,0\]/],
    ["sampler.temperature", [[1], 0], /manifest.json: sampler: temperature is \[1\]/],
    ["micro_conditioning.crop_top", 1.1e9, /manifest.json: micro_conditioning: crop_top is 1100000000/],
    ["micro_conditioning.aesthetic_score", "6", /manifest.json: micro_conditioning: "aesthetic_score" is "6"/],
  ];
  for (const [place, value, said] of wrong) {
    refused(() => readManifest(changed(MANIFEST, { [place]: value })), said);
  }
  refused(() => readManifest(MANIFEST.replace('"steps": 12', '"steps": 12.0')), /sampler: steps is "12"/);
});

test("micro-conditions are numbers as far as 1e9, and refused by the name they were given by", () => {
  const given = { cropTop: 1e9, cropLeft: -1e9, aestheticScore: 0 };
  assert.deepEqual(checkedMicroConditioning(given), given);
  for (const name of Object.keys(given)) {
    for (const value of [1e9 + 1, -1e9 - 1, Number.NaN, "1", 1n, undefined]) {
      const wrong = { ...given, [name]: value } as typeof given;
      assert.throws(
        () => checkedMicroConditioning(wrong),
        (error) => error instanceof OptionsError && error.message.startsWith(`${name} is `),
      );
    }
  }
});

test("a golden picture is read as it is written", () => {
  const { format: _, ...content } = JSON.parse(GOLDEN);
  const { inputIds, ...golden } = readGolden(GOLDEN);
  for (const [name, value] of Object.entries({ ...golden, input_ids: inputIds })) {
    assert.deepEqual(value, content[name], name);
  }
  assert.ok(Number.isNaN(readGolden(GOLDEN.replace(/"logits": \[[^,]+/, '"logits": [NaN')).logits[0]));
  refused(() => readGolden("{"), /golden.json is not JSON \(.*copy the bundle again/);
  refused(() => readGolden(changed(GOLDEN, { "tolerance.pixels": 1.5 })), /golden.json: tolerance: "pixels" is 1.5/);
});

const fields = (content: Json | undefined) => new Fields(content, "file");

test("a field is of the kind that is asked for", () => {
  const values: Record<string, Json> = {
    string: "a",
    int: 12n,
    huge: 10n ** 400n,
    float: 1.5,
    nan: Number.NaN,
    list: [1n],
    object: { a: 1n },
    null: null,
    true: true,
  };
  const kinds = { string: ["string"], int: ["int"], bigint: ["int", "huge"], float: ["int", "float", "nan"] };
  for (const [kind, taken] of Object.entries({ ...kinds, list: ["list"], object: ["object"] })) {
    for (const [name, value] of Object.entries(values)) {
      const get = () => fields(values).get(name, kind as "int");
      if (taken.includes(name)) {
        assert.deepEqual(get(), name === "int" && kind !== "bigint" ? 12 : value);
      } else {
        refused(get, new RegExp(`^file: "${name}" is .*, not a ${kind}; the bundle is damaged`));
      }
    }
  }
  assert.deepEqual(fields(values).names, Object.keys(values));
  assert.equal(fields(values).raw("null"), null);
  for (const name of ["more", "toString"]) {
    refused(() => fields(values).raw(name), new RegExp(`^file lacks "${name}"; the bundle is damaged, make it again`));
  }
  for (const none of [undefined, null, 1n, "a", []]) {
    refused(() => fields(none), /^file is not a JSON object; the bundle is damaged/);
  }
});

test("fields within fields are told by their place", () => {
  const content = parseJson(
    '{"a": {"b": {"c": 1}}, "none": null, "l": [{"c": 2}, {"c": "3"}], "n": [1, 2], "m": [1, "2"]}',
  );
  const all = fields(content);
  const c = (inner: Fields): number => inner.get("c", "int");
  assert.equal(c(all.child("a").child("b")), 1);
  assert.deepEqual(all.values("n", "int"), [1, 2]);
  assert.deepEqual(all.values("n", "bigint"), [1n, 2n]);
  assert.deepEqual(all.table("a", c), { b: 1 });
  assert.equal(all.optional("none"), undefined);
  assert.equal(all.optional("a")?.names[0], "b");
  refused(() => all.child("none"), /^file: "none" is null, not a object/);
  refused(() => all.optional("l"), /^file: "l" is /);
  refused(() => all.child("a").child("b").get("d", "int"), /^file: a: b lacks "d"/);
  refused(() => all.items("l", c), /^file: l\[1\]: "c" is "3"/);
  refused(() => all.items("n", c), /^file: n\[0\] is not a JSON object/);
  refused(() => all.table("a", (inner) => inner.get("d", "int")), /^file: a.b lacks "d"/);
  refused(() => all.values("m", "int"), /^file: "m" is "2", not a int/);
  assert.throws(
    () => new Fields(content, "state", "look again", (message) => new StateError(message)).child("a").raw("x"),
    (error) => error instanceof StateError && error.message === 'state: a lacks "x"; look again',
  );
});
