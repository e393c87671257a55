import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { dumpJson, type Json, parseJson } from "../src/bundle/json.js";
import { Fields } from "../src/bundle/json-fields.js";
import { OptionsError, StateError } from "../src/errors.js";
import { promptEmbeddings } from "../src/tasks/embeddings.js";
import { inpainting, type Task, textToImage, variation } from "../src/tasks/kinds.js";
import {
  optionsOf,
  type PictureParameters,
  parametersFromText,
  parametersToText,
  rebuildTask,
  restoreTask,
} from "../src/tasks/parameters.js";
import { readRecord, recordToJson, sameRecord, taskRecord } from "../src/tasks/record.js";
import { hashOf, type PictureState, stateAfter, stateFromText, stateToText } from "../src/tasks/state.js";
import { DEFAULTS } from "./support/sampling.js";

const IMAGE = { width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
const MASK = { width: 2, height: 1, data: Uint8Array.of(0, 255) };
const MICRO = { cropTop: 1, cropLeft: 2, aestheticScore: 6.5 };
const COMMON = { negativePrompts: "blurry", firstPicture: 2n ** 53n + 1n, microConditioning: MICRO };
const EMBEDDED = promptEmbeddings(Float32Array.of(1, 2, 3, 4), 2, Float32Array.of(5));

const TEXT = textToImage("a fox", COMMON);
const LIKE = variation("a fox", IMAGE, { ...COMMON, strength: 0.75, fit: "pad" });
const PART = inpainting("a fox", IMAGE, MASK, {
  ...COMMON,
  strength: 0.5,
  coverage: "any",
  pasteBack: false,
  feather: 3,
});
const PLAIN = inpainting("", IMAGE, MASK);
const TASKS = [TEXT, LIKE, PART, PLAIN, textToImage(EMBEDDED, { negativePrompts: EMBEDDED })];

const sha256 = (...parts: (string | Uint8Array)[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(part);
  }
  return hash.digest("hex");
};
const HASHES = { image: sha256("RGB (2, 1)", IMAGE.data), mask: sha256("L (2, 1)", MASK.data) };

function parametersOf(task: Task): PictureParameters {
  return { bundleName: "füchse", bundleSha256: "ab", task: taskRecord(task), seed: 2n ** 64n - 1n, settings: DEFAULTS };
}

const damaged = (message: string): StateError => new StateError(message);
const read = (content: Json) => readRecord(new Fields(content, "task", "look", damaged), damaged);

/** Say that something is refused as a state, with a message of this kind. */
function refused(run: () => unknown, said: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof StateError, String(error));
    assert.match(error.message, said);
    return true;
  });
}

test("files say of a task its kind, prompts, own fields, and the hashes of its pictures", () => {
  const shared = `"negative_prompt": "blurry", "picture": 9007199254740993, "micro_conditioning": {"crop_top": 1.0, "crop_left": 2.0, "aesthetic_score": 6.5}`;
  const expected: [Task, string][] = [
    [TEXT, `{"kind": "text_to_image", "prompt": "a fox", ${shared}}`],
    [
      LIKE,
      `{"kind": "variation", "prompt": "a fox", ${shared}, "image_sha256": "${HASHES.image}", "strength": 0.75, "fit": "pad"}`,
    ],
    [
      PART,
      `{"kind": "inpainting", "prompt": "a fox", ${shared}, "image_sha256": "${HASHES.image}", "mask_sha256": "${HASHES.mask}", "strength": 0.5, "fit": "crop", "coverage": "any", "paste_back": false, "feather": 3}`,
    ],
    [
      textToImage(EMBEDDED),
      `{"kind": "text_to_image", "prompt": {"embeddings_sha256": "${EMBEDDED.sha256}"}, "negative_prompt": "", "picture": 0, "micro_conditioning": null}`,
    ],
  ];
  for (const [task, text] of expected) {
    assert.equal(dumpJson(recordToJson(taskRecord(task))), text);
  }
  for (const task of TASKS) {
    const record = taskRecord(task);
    assert.deepEqual(read(recordToJson(record)), record);
  }
  assert.throws(() => taskRecord({ ...TEXT, kind: "toString" } as unknown as Task), OptionsError);
});

test("a record of a task that lacks something, has more, or what cannot be, is refused", () => {
  const content = recordToJson(taskRecord(PART));
  for (const name of Object.keys(content)) {
    const { [name]: _, ...rest } = content;
    refused(() => read(rest), name === "kind" ? /lacks "kind"/ : /the task has /);
  }
  refused(() => read({ ...content, more: 1 }), /the task has .*more/);
  refused(() => read({ ...recordToJson(taskRecord(TEXT)), image_sha256: "ab" }), /the task has /);
  for (const kind of ["film", "toString"]) {
    refused(() => read({ ...content, kind }), /is not known to this amused-edge/);
  }
  for (const value of [null, [1], { a: 1 }]) {
    refused(() => read({ ...content, feather: value }), /the task's feather is /);
    refused(
      () => read({ ...content, prompt: value }),
      value === null || Array.isArray(value) ? /"prompt" is/ : /lacks/,
    );
  }
  refused(() => read({ ...content, image_sha256: 5n }), /"image_sha256" is 5/);
  for (const name of ["prompt", "negative_prompt", "image_sha256", "mask_sha256", "fit"]) {
    assert.throws(() => read({ ...content, [name]: "\ud83d" }), OptionsError);
  }
  assert.throws(() => read({ ...content, prompt: { embeddings_sha256: "\ud83d" } }), OptionsError);
  assert.throws(() => read({ ...content, picture: 2n ** 64n }), OptionsError);
  assert.throws(() => read({ ...content, picture: -1n }), OptionsError);
});

test("records are the same if all of them is; whole numbers count as others, and differ beyond 2^53", () => {
  for (const [i, one] of TASKS.entries()) {
    for (const [j, other] of TASKS.entries()) {
      assert.equal(sameRecord(taskRecord(one), taskRecord(other)), i === j);
    }
  }
  const record = taskRecord(PART);
  assert.ok(sameRecord(record, { ...record, own: { ...record.own, feather: 3 } }));
  assert.ok(!sameRecord(record, { ...record, own: { ...record.own, feather: 3.5 } }));
  const most = Number.MAX_SAFE_INTEGER;
  const withFeather = (feather: number | bigint) => ({ ...record, own: { ...record.own, feather } });
  assert.ok(sameRecord(withFeather(most), withFeather(BigInt(most))));
  assert.ok(!sameRecord(record, { ...record, picture: record.picture - 1n }));
});

test("a task is restored from its parameters where these hold all of it, else it must be given again", () => {
  assert.deepEqual(restoreTask(parametersOf(TEXT), undefined), TEXT);
  assert.deepEqual(restoreTask(parametersOf(textToImage("")), undefined), textToImage(""));
  for (const task of [LIKE, PART]) {
    refused(() => restoreTask(parametersOf(task), undefined), new RegExp(`${task.kind} needs its pictures again`));
  }
  refused(() => restoreTask(parametersOf(textToImage(EMBEDDED)), undefined), /prompt embeddings; give them again/);
  for (const task of TASKS) {
    assert.equal(restoreTask(parametersOf(task), TASKS), task);
    const others = TASKS.filter((other) => other !== task);
    refused(() => restoreTask(parametersOf(task), others), /not the one of the picture/);
  }
});

test("a task is built again from its parameters and its pictures, which must be the same", () => {
  assert.deepEqual(rebuildTask(parametersOf(TEXT)), TEXT);
  assert.deepEqual(rebuildTask(parametersOf(LIKE), IMAGE), LIKE);
  assert.deepEqual(rebuildTask(parametersOf(PART), IMAGE, MASK), PART);
  assert.deepEqual(rebuildTask(parametersOf(PLAIN), IMAGE, MASK), PLAIN);
  refused(() => rebuildTask(parametersOf(TEXT), IMAGE), /^text_to_image has no image; leave it out/);
  refused(() => rebuildTask(parametersOf(LIKE)), /^variation needs its image; give it as it was/);
  refused(() => rebuildTask(parametersOf(LIKE), IMAGE, MASK), /^variation has no mask/);
  refused(() => rebuildTask(parametersOf(PART), IMAGE), /^inpainting needs its mask/);
  const other = { ...IMAGE, data: Uint8Array.of(1, 2, 3, 4, 5, 7) };
  refused(() => rebuildTask(parametersOf(LIKE), other), /not the one of the picture/);
  const wide = { width: 3, height: 1, data: new Uint8Array(3) };
  refused(() => rebuildTask(parametersOf(PART), IMAGE, wide), /cannot be drawn again: the mask has 3x1/);
  const record = { ...taskRecord(TEXT), negativePrompt: { embeddingsSha256: "ab" } };
  refused(() => rebuildTask({ ...parametersOf(TEXT), task: record }), /prompt embeddings; give them again/);
  const broken = new Proxy(IMAGE, {
    get: () => {
      throw new RangeError("mine");
    },
  });
  assert.throws(() => rebuildTask(parametersOf(LIKE), broken), RangeError);
});

test("parameters are the same after they were text, and give the options that draw again", () => {
  for (const task of TASKS) {
    const settings = { ...DEFAULTS, temperature: 1.5, steps: 3 };
    const parameters = { ...parametersOf(task), settings };
    assert.deepEqual(parametersFromText(parametersToText(parameters)), parameters);
    assert.deepEqual(optionsOf(parameters), { ...settings, seed: 2n ** 64n - 1n });
  }
});

test("parameters of another format or version, or that hold what cannot be, are refused as no state of this one", () => {
  const text = parametersToText(parametersOf(LIKE));
  const edits: [string, string, RegExp][] = [
    ['"version": 1', '"version": 2', /another format or version/],
    ["amused-edge picture", "amused-edge state", /another format or version/],
    ['"format"', '"form"', /cannot be read: parameters lacks "format"; it is damaged/],
    ['"füchse"', '"\\ud83d"', /cannot be read: prompt .* not valid Unicode/],
    ['"sha256": "ab"', '"sha256": "\\ud83d"', /cannot be read: prompt .* not valid Unicode/],
    ['"seed": 18446744073709551615', '"seed": 18446744073709551616', /cannot be read: seed is/],
    ['"seed": 18446744073709551615', '"seed": 1.0', /cannot be read: .*"seed" is 1, not a bigint/],
    ['"steps": 12', '"steps": 12.0', /cannot be read: steps is "12"/],
    ['"guidance_scale": 10.0', '"guidance_scale": "10"', /cannot be read: guidance_scale is "10"/],
    ['"guidance_scale": 10.0', '"guidance_scale": NaN', /cannot be read: guidance_scale is NaN/],
    ['"picture": 9007199254740993', '"picture": -1', /cannot be read: firstPicture is -1/],
    ['"strength": 0.75, ', "", /cannot be read: the task has /],
  ];
  for (const [from, to, said] of edits) {
    assert.ok(text.includes(from), from);
    refused(() => parametersFromText(text.replace(from, to)), said);
  }
  refused(() => parametersFromText("{"), /the parameters of a picture are not JSON: /);
  refused(() => parametersFromText("[]"), /parameters is not a JSON object/);
});

const STATE: PictureState = {
  parameters: parametersOf(TEXT),
  nextStep: 4,
  gridHeight: 1,
  gridWidth: 3,
  tokens: Int32Array.of(7, -2, 2 ** 31 - 1),
  probability: Float32Array.of(0, 0.1, 1),
  startingMaskRatio: 0.5,
};

test("a state is the same after it was text, at its first and at its last step", () => {
  for (const change of [
    {},
    { nextStep: 0 },
    { nextStep: 12 },
    { startingMaskRatio: 1 },
    { gridHeight: 3, gridWidth: 1 },
  ]) {
    assert.deepEqual(stateFromText(stateToText({ ...STATE, ...change })), { ...STATE, ...change });
  }
  const long = { gridWidth: 4096, tokens: new Int32Array(4096), probability: new Float32Array(4096) };
  assert.deepEqual(stateFromText(stateToText({ ...STATE, ...long })), { ...STATE, ...long });
});

test("a state goes on after a step with the tokens of its own picture", () => {
  const step = {
    index: 4,
    steps: 12,
    tokens: [Int32Array.of(1), Int32Array.of(2)],
    predicted: [],
    mask: [],
    confidence: [],
    probability: [Float32Array.of(0.25), Float32Array.of(0.5)],
  };
  const after = { nextStep: 5, tokens: Int32Array.of(1), probability: Float32Array.of(0.25) };
  assert.deepEqual(stateAfter(STATE, step), { ...STATE, ...after });
  const second = { nextStep: 5, tokens: Int32Array.of(2), probability: Float32Array.of(0.5) };
  assert.deepEqual(stateAfter(STATE, step, 1), { ...STATE, ...second });
});

test("a state that says what cannot be is refused, though its hash fits", () => {
  const wrong: [Partial<PictureState>, RegExp][] = [
    [{ nextStep: -1 }, /before step -1 of 12/],
    [{ nextStep: 13 }, /before step 13 of 12/],
    [{ startingMaskRatio: 0 }, /ratio 0/],
    [{ startingMaskRatio: 1.001 }, /ratio 1.001/],
    [{ probability: Float32Array.of(0, -0.1, 1) }, /not within 0 to 1/],
    [{ probability: Float32Array.of(0, 0.1, 1.001) }, /not within 0 to 1/],
    [{ probability: Float32Array.of(0, Number.NaN, 1) }, /not within 0 to 1/],
    [{ tokens: Int32Array.of(1, 2) }, /is damaged \(/],
    [{ probability: Float32Array.of(1, 1) }, /is damaged \(/],
    [{ gridWidth: 4097, tokens: new Int32Array(4097), probability: new Float32Array(4097) }, /grid is 1,4097/],
    [{ gridHeight: 0, tokens: new Int32Array(0), probability: new Float32Array(0) }, /grid is 0,3/],
  ];
  for (const [change, said] of wrong) {
    refused(() => stateFromText(stateToText({ ...STATE, ...change })), said);
  }
});

test("a state of another version, of another form, or whose hash does not fit, is refused", () => {
  const text = stateToText(STATE);
  refused(() => stateFromText("{"), /is damaged \(a name is missing, at character 1\)/);
  refused(() => stateFromText("[]"), /is damaged \(state is not a JSON object/);
  refused(() => stateFromText(text.replace("amused-edge state", "amused-edge stage")), /no state, or one of another/);
  refused(() => stateFromText(text.replace('"version": 1', '"version": 2')), /no state, or one of another/);
  refused(() => stateFromText(text.replace('"next_step": 4', '"next_step": 5')), /its hash does not fit/);
  assert.equal(hashOf({ a: "é", A: 1n }), sha256('{"A": 1, "a": "\\u00e9"}'));
  const { sha256: _, ...content } = parseJson(text) as { [name: string]: Json };
  const other = (change: { [name: string]: Json }) => {
    const changed = { ...content, ...change };
    return () => stateFromText(dumpJson({ ...changed, sha256: hashOf(changed) }));
  };
  refused(other({ grid: [3n] }), /the state's grid is 3;/);
  refused(other({ grid: [1n, 3n, 1n] }), /the state's grid is 1,3,1;/);
  refused(other({ starting_mask_ratio: Number.NaN }), /stands before step 4 of 12, ratio NaN/);
});
