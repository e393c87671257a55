import assert from "node:assert/strict";
import { test } from "node:test";
import { FileSource } from "../src/node/file-source.js";
import { openFolder } from "../src/node/index.js";
import { TINY_BUNDLE } from "./browser/support/paths.js";
import { countingOrt, openDemo } from "./support/demo.js";
import { Soak } from "./support/soak.js";

test("pictures of many callers, some of whom cancel, leave or close, are those that are drawn alone", async (context) => {
  const counting = countingOrt();
  const here = (keepGraphs: boolean) => openDemo({ ort: counting.ort, keepGraphs }, new FileSource(TINY_BUNDLE));
  const soak = await Soak.begin(here, 1);
  await soak.callers(0, 24, 6);
  await soak.pipelines(100, 8, 3);
  assert.deepEqual(soak.wrong, []);
  context.diagnostic(JSON.stringify([...soak.came]));
  assert.ok(["drawn", "left", "gone on with"].every((how) => soak.came.has(how)));
  assert.equal(counting.open(), 0, "graphs are left");
});

test("so they are of threads", async () => {
  const soak = await Soak.begin(() => openFolder(TINY_BUNDLE, { threads: 1 }), 2);
  await soak.callers(0, 12, 4);
  await soak.pipelines(200, 2, 2);
  assert.deepEqual(soak.wrong, []);
});
