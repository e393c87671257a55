import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BundleError,
  CancelledError,
  OptionsError,
  openFolder,
  type RemotePipeline,
  variation,
} from "../src/node/index.js";
import { TINY_BUNDLE } from "./browser/support/paths.js";
import { openDemo, PROMPT } from "./support/demo.js";
import { DEMO } from "./support/paths.js";
import { pictureOf } from "./support/pictures.js";

const SHORT = { steps: 3, seed: 2n ** 64n - 1n } as const;

async function withFolder(work: (pipeline: RemotePipeline) => Promise<void>): Promise<void> {
  const pipeline = await openFolder(DEMO, { threads: 1 });
  try {
    await work(pipeline);
  } finally {
    await pipeline.close();
  }
}

test("a pipeline in a thread draws what one in this thread draws", async () => {
  const here = await openDemo();
  await withFolder(async (there) => {
    assert.deepEqual(there.manifest, here.manifest);
    assert.equal(there.bundleSha256, here.bundleSha256);
    const task = variation(PROMPT, pictureOf({ size: [64, 64], seed: "1", channels: 3 }), { strength: 0.8 });
    const steps: number[] = [];
    const drawn = await there.generate(task, { ...SHORT, onStep: (_, step) => void steps.push(step.index) });
    assert.deepEqual(drawn, await here.generate(task, SHORT));
    assert.deepEqual(steps, [1, 2]);
    const [state] = await there.begin(task, SHORT);
    for await (const step of there.resume(state, task)) {
      assert.deepEqual(await there.preview(step), await here.preview(step));
    }
    assert.deepEqual(there.settings({ steps: 4 }, task), here.settings({ steps: 4 }, task));
    assert.ok((await there.checkGolden()).reproduced);
    assert.deepEqual(await there.embed("a"), await here.embed("a"));
  });
  await here.close();
});

test("the event loop is free while the thread draws", async () => {
  await withFolder(async (pipeline) => {
    await pipeline.generate(PROMPT, { steps: 1 });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await pipeline.generate(PROMPT, SHORT);
    clearInterval(timer);
    assert.ok(turns > 3, `${turns} turns`);
  });
});

test("errors keep their classes, cancelling its reason, and the pipeline goes on", async () => {
  await assert.rejects(openFolder("/nowhere"), BundleError);
  await withFolder(async (pipeline) => {
    await assert.rejects(pipeline.generate(PROMPT, { steps: 0 }), OptionsError);
    await assert.rejects(pipeline.stream(PROMPT, { steps: 0 }).next(), OptionsError);
    const abort = new AbortController();
    const stopped = pipeline.generate(PROMPT, {
      ...SHORT,
      signal: abort.signal,
      onStep: () => abort.abort("enough"),
    });
    await assert.rejects(stopped, (error: Error) => error instanceof CancelledError && error.cause === "enough");
    await assert.rejects(pipeline.generate(PROMPT, { signal: AbortSignal.abort() }), CancelledError);
    const thrown = pipeline.generate(PROMPT, {
      ...SHORT,
      onStep: () => {
        throw new RangeError("mine");
      },
    });
    await assert.rejects(thrown, RangeError);
    for await (const step of pipeline.stream(PROMPT, SHORT)) {
      assert.equal(step.index, 0);
      break;
    }
    assert.equal((await pipeline.generate(PROMPT, SHORT)).length, 1);
  });
});

test("warnings come through", async () => {
  const warnings: string[] = [];
  const pipeline = await openFolder(DEMO, { onWarning: (message) => warnings.push(message) });
  await pipeline.generate("word ".repeat(200), { steps: 1 });
  assert.match(warnings.join(), /cut off/);
  await pipeline.close();
});

test("a pipeline that was closed says so, also to what ran, and may be closed again", async () => {
  const pipeline = await openFolder(TINY_BUNDLE, { threads: 1 });
  const closed = { name: "GraphError", message: /the pipeline was closed/ };
  const running = assert.rejects(pipeline.generate(PROMPT, { steps: 50 }), closed);
  await pipeline.close();
  await running;
  await assert.rejects(pipeline.generate(PROMPT), closed);
  await pipeline.close();
});
