import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as ort from "onnxruntime-node";
import { draw } from "../examples/node/draw.js";
import { drawOn } from "../examples/node/steps.js";
import { tasks } from "../examples/node/tasks.js";
import { draw as drawOnDevice } from "../examples/react-native/draw.js";
import { readPng } from "../src/node/png.js";
import { openDemo, PROMPT } from "./support/demo.js";
import { DEMO, PACKAGE, ROOT } from "./support/paths.js";
import { pictureOf } from "./support/pictures.js";

/** What the page shows, in its order. */
const LISTINGS = ["node/draw.ts", "node/tasks.ts", "node/steps.ts", "react-native/draw.ts"];

test("the listings of docs/web.md are the examples, which are run here", () => {
  const page = readFileSync(`${ROOT}docs/web.md`, "utf8");
  const shown = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map((block) => block[1]);
  for (const name of LISTINGS) {
    assert.ok(
      shown.includes(readFileSync(`${PACKAGE}examples/${name}`, "utf8")),
      `${name} is not on the page as it is`,
    );
  }
});

test("Node: a picture in a file, drawn in a thread", async () => {
  const folder = mkdtempSync(join(tmpdir(), "amused-edge-"));
  const file = join(folder, "fox.png");
  await draw(DEMO, PROMPT, file);
  const { image, parameters } = readPng(readFileSync(file));
  const pipeline = await openDemo();
  const [picture] = await pipeline.generate(PROMPT, { seed: 7 });
  await pipeline.close();
  assert.deepEqual(image.data, picture.image.data);
  assert.deepEqual(parameters, picture.parameters);
  rmSync(folder, { recursive: true });
});

test("steps: stopped and gone on with, the picture is the same", async () => {
  const pipeline = await openDemo();
  const texts: string[] = [];
  const abort = new AbortController();
  const show = (): void => {
    if (texts.length === 2) {
      abort.abort();
    }
  };
  const save = (text: string): number => texts.push(text);
  await assert.rejects(drawOn(pipeline, PROMPT, undefined, save, show, abort.signal), { name: "CancelledError" });
  assert.equal(texts.length, 2);
  const image = await drawOn(pipeline, PROMPT, texts[1], save, show, new AbortController().signal);
  const [picture] = await pipeline.generate(PROMPT, { seed: 7 });
  assert.deepEqual(image.data, picture.image.data);
  await pipeline.close();
});

test("tasks: seven pictures", async () => {
  const pipeline = await openDemo();
  const photo = pictureOf({ size: [32, 32], seed: "1", channels: 3 });
  const mask = pictureOf({ size: [32, 32], background: 0, rectangles: [[4, 4, 20, 20, 255]] });
  assert.equal((await tasks(pipeline, photo, mask)).length, 7);
  await pipeline.close();
});

test("React Native: files of the device, read in pieces", async () => {
  const files = {
    size: async (path: string) => (await stat(path)).size,
    read: async (path: string, first: number, length: number) => {
      const file = await open(path);
      const content = new Uint8Array(length);
      await file.read(content, 0, length, first);
      await file.close();
      return content;
    },
  };
  const image = await drawOnDevice(ort, files, `${DEMO}/`, PROMPT);
  assert.equal(image.data.length, 3 * 64 * 64);
  await assert.rejects(drawOnDevice(ort, files, "/nowhere", PROMPT), { name: "BundleError" });
});
