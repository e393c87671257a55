import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  type AmusedPipeline,
  BundleError,
  CancelledError,
  GraphError,
  inpainting,
  OptionsError,
  outpainting,
  type PictureState,
  ProviderError,
  StateError,
  type Step,
  stateAfter,
  stateFromText,
  stateToText,
  textToImage,
  variation,
} from "../src/index.js";
import { FileSource } from "../src/node/file-source.js";
import { countingOrt, openDemo, PROMPT } from "./support/demo.js";
import { DEMO } from "./support/paths.js";
import { pictureOf } from "./support/pictures.js";

const SHORT = { steps: 3, seed: 5 } as const;
const SCENE = pictureOf({
  size: [64, 64],
  background: [40, 90, 200],
  rectangles: [[8, 36, 60, 60, [30, 140, 50]]],
});

let pipeline: AmusedPipeline;

before(async () => {
  pipeline = await openDemo();
});

after(() => pipeline.close());

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) {
    list.push(value);
  }
  return list;
}

test("the golden picture is reproduced", async () => {
  const report = await pipeline.checkGolden();
  assert.ok(report.reproduced, JSON.stringify(report));
  assert.equal(report.equalTokens, 1);
});

test("a picture is the same alone, among others, and step by step", async () => {
  const task = textToImage([PROMPT, "a cat"], { picturesPerPrompt: 2, negativePrompts: "blurry" });
  const together = await pipeline.generate(task, SHORT);
  assert.deepEqual(
    together.map((picture) => [picture.prompt, picture.parameters.task.picture]),
    [
      [PROMPT, 0n],
      [PROMPT, 1n],
      ["a cat", 0n],
      ["a cat", 1n],
    ],
  );
  const [alone] = await pipeline.generate(textToImage("a cat", { firstPicture: 1, negativePrompts: "blurry" }), SHORT);
  assert.deepEqual(alone.tokens, together[3].tokens);
  assert.deepEqual(alone.image.data, together[3].image.data);
  const steps = await all(pipeline.stream(task, SHORT));
  assert.equal(steps.length, 3);
  assert.deepEqual(steps[2].tokens[3], together[3].tokens);
  assert.deepEqual(steps[2].mask[0], new Uint8Array(256));
});

test("low memory holds one graph at a time and draws the same", async () => {
  let most = 0;
  const counting = countingOrt(() => {
    most = Math.max(most, counting.open());
  });
  const small = await openDemo({ ort: counting.ort, keepGraphs: false, rememberedPrompts: 0 });
  const task = textToImage([PROMPT, "a cat"], { picturesPerPrompt: 2 });
  const drawn = await small.generate(task, SHORT);
  assert.equal(most, 1);
  assert.equal(counting.open(), 0);
  const expected = await pipeline.generate(task, SHORT);
  assert.deepEqual(
    drawn.map((picture) => picture.tokens),
    expected.map((picture) => picture.tokens),
  );
  await small.close();
});

test("a prompt that comes again is encoded once, guidance of 1 asks one branch", async () => {
  const counting = countingOrt();
  const counted = await openDemo({ ort: counting.ort });
  await counted.generate(["a cat", "a dog"], { steps: 1, guidanceScale: 3 });
  assert.equal(counting.runs.filter((name) => name === "input_ids").length, 3);
  await counted.generate(["a cat", "a dog"], { steps: 1, guidanceScale: 1 });
  assert.equal(counting.runs.filter((name) => name === "input_ids").length, 3);
  await counted.close();
});

test("callers at the same time get what they would get alone", async () => {
  const seeds = [1, 2, 3];
  const together = await Promise.all(seeds.map((seed) => pipeline.generate(PROMPT, { ...SHORT, seed })));
  for (const [i, seed] of seeds.entries()) {
    const [alone] = await pipeline.generate(PROMPT, { ...SHORT, seed });
    assert.deepEqual(together[i][0].tokens, alone.tokens);
  }
});

test("a state goes on to the same picture, also through text and from any step", async () => {
  const [whole] = await pipeline.generate(PROMPT, { ...SHORT, steps: 5 });
  for (const stop of [0, 2, 5]) {
    let [state] = await pipeline.begin(PROMPT, { ...SHORT, steps: 5 });
    for await (const step of pipeline.stream(PROMPT, { ...SHORT, steps: 5 })) {
      if (state.nextStep === stop) {
        break;
      }
      state = stateAfter(state, step);
    }
    state = stateFromText(stateToText(state));
    for await (const step of pipeline.resume(state)) {
      state = stateAfter(state, step);
    }
    const picture = await pipeline.finish(state);
    assert.deepEqual(picture.tokens, whole.tokens);
    assert.deepEqual(picture.probability, whole.probability);
    assert.deepEqual(picture.image.data, whole.image.data);
    assert.deepEqual(picture.parameters, whole.parameters);
  }
});

test("states of tasks with pictures need them again, and refuse others", async () => {
  const task = variation(PROMPT, SCENE, { strength: 0.7 });
  const [state] = await pipeline.begin(task, SHORT);
  const read = stateFromText(stateToText(state));
  assert.throws(() => pipeline.resume(read), StateError);
  assert.throws(() => pipeline.resume(read, variation(PROMPT, SCENE, { strength: 0.6 })), StateError);
  const steps = await all(pipeline.resume(read, task));
  const [whole] = await pipeline.generate(task, SHORT);
  assert.deepEqual(steps.at(-1)?.tokens[0], whole.tokens);
});

test("states that are not of this bundle, or not finished, are refused", async () => {
  const [state] = await pipeline.begin(PROMPT, SHORT);
  const other = (change: object): PictureState => ({ ...state, ...change });
  await assert.rejects(pipeline.finish(state), StateError);
  const elsewhere = { ...state.parameters, bundleSha256: "0".repeat(64) };
  for (const change of [
    { parameters: elsewhere },
    { gridHeight: 8, gridWidth: 32 },
    { tokens: state.tokens.map(() => 300) },
    { nextStep: 3 },
  ]) {
    assert.throws(() => pipeline.resume(other(change)), StateError, JSON.stringify(Object.keys(change)));
  }
});

test("in-painting draws under the mask and keeps the rest to the pixel", async () => {
  const mask = pictureOf({ size: [64, 64], background: 0, rectangles: [[16, 8, 48, 40, 255]] });
  const [picture] = await pipeline.generate(inpainting(PROMPT, SCENE, mask), SHORT);
  let outside = 0;
  for (let pixel = 0; pixel < 64 * 64; pixel++) {
    if (!mask.data[pixel]) {
      outside += Number(picture.image.data[3 * pixel] !== SCENE.data[3 * pixel]);
    }
  }
  assert.equal(outside, 0);
  assert.equal(picture.parameters.settings.schedule, "linear");
  const none = pictureOf({ size: [64, 64], background: 0, rectangles: [] });
  const warnings: string[] = [];
  const warned = await openDemo({ onWarning: (message) => warnings.push(message) });
  const [kept] = await warned.generate(inpainting(PROMPT, SCENE, none), SHORT);
  assert.deepEqual(kept.image.data, SCENE.data);
  assert.match(warnings.join(), /covers no token/);
  await warned.close();
});

test("a variation of strength 0 passes through the VQ-GAN, out-painting fits the canvas", async () => {
  const [picture] = await pipeline.generate(variation(PROMPT, SCENE, { strength: 0 }), SHORT);
  const tokens = await pipeline.encode(SCENE);
  assert.deepEqual(picture.tokens, tokens);
  assert.deepEqual(picture.image.data, (await pipeline.decode(tokens)).data);
  const small = pictureOf({ size: [32, 32], seed: "3", channels: 3 });
  const [around] = await pipeline.generate(
    outpainting(PROMPT, small, { left: 16, right: 16, top: 16, bottom: 16 }),
    SHORT,
  );
  assert.equal(around.image.width, 64);
  const wide = outpainting(PROMPT, small, { left: 40 });
  await assert.rejects(pipeline.generate(wide, SHORT), OptionsError);
});

test("a prompt of 200 words is cut, with a warning; one that is no Unicode is refused", async () => {
  const warnings: string[] = [];
  const warned = await openDemo({ onWarning: (message) => warnings.push(message) });
  const [long] = await warned.generate("word ".repeat(200), SHORT);
  assert.match(warnings.join(), /reads 77 tokens; cut off: "word word/);
  const [cut] = await warned.generate("word ".repeat(300), SHORT);
  assert.deepEqual(long.tokens, cut.tokens);
  await assert.rejects(warned.generate("\ud83d", SHORT), OptionsError);
  await warned.close();
});

test("embeddings of a prompt stand for it", async () => {
  const [expected] = await pipeline.generate("a cat", SHORT);
  const [picture] = await pipeline.generate(await pipeline.embed("a cat"), SHORT);
  assert.deepEqual(picture.tokens, expected.tokens);
  assert.match(stateToText((await pipeline.begin(await pipeline.embed("a cat"), SHORT))[0]), /embeddings_sha256/);
});

test("a generation is cancelled before any of its calls, and nothing stays loaded for it", async () => {
  const counting = countingOrt();
  const counted = await openDemo({ ort: counting.ort, keepGraphs: false, rememberedPrompts: 0 });
  await counted.generate(PROMPT, SHORT);
  const calls = counting.runs.length;
  assert.equal(calls, 2 + 2 + 3 + 1); // two prompts encoded and conditioned, three steps, one picture
  await counted.close();
  for (let last = 0; last < calls; last++) {
    const abort = new AbortController();
    const stopping = countingOrt(() => {
      if (stopping.runs.length === last) {
        abort.abort("enough");
      }
    });
    const stopped = await openDemo({ ort: stopping.ort, keepGraphs: false, rememberedPrompts: 0 });
    if (last === 0) {
      abort.abort("enough");
    }
    await assert.rejects(stopped.generate(PROMPT, { ...SHORT, signal: abort.signal }), (error: Error) => {
      assert.ok(error instanceof CancelledError);
      assert.equal(error.cause, "enough");
      return true;
    });
    assert.equal(stopping.runs.length, last);
    assert.equal(stopping.open(), 0);
    await stopped.close();
  }
});

test("whoever leaves a stream leaves no graph behind; what a listener throws ends the run", async () => {
  const counting = countingOrt();
  const counted = await openDemo({ ort: counting.ort, keepGraphs: false });
  for await (const step of counted.stream(PROMPT, SHORT)) {
    assert.equal(step.index, 0);
    break;
  }
  assert.equal(counting.open(), 0);
  const failing = counted.generate(PROMPT, {
    ...SHORT,
    onStep: () => {
      throw new RangeError("mine");
    },
  });
  await assert.rejects(failing, RangeError);
  assert.equal(counting.open(), 0);
  await counted.close();
});

test("a pipeline that was closed draws no more, also in the middle", async () => {
  const closing = await openDemo();
  const run = closing.generate(PROMPT, { ...SHORT, onStep: () => closing.close() });
  await assert.rejects(run, GraphError);
  await assert.rejects(closing.generate(PROMPT, SHORT), GraphError);
});

test("arguments that cannot be are refused before any graph is loaded", () => {
  const wrong: [object, RegExp][] = [
    [{ steps: 0 }, /steps is 0/],
    [{ steps: 1.5 }, /steps is 1.5/],
    [{ seed: -1 }, /seed is -1/],
    [{ seed: 2n ** 64n }, /seed is 18446744073709551616/],
    [{ seed: 2 ** 60 }, /bigint/],
    [{ guidanceScale: Number.NaN }, /guidanceScale/],
    [{ temperature: [1] }, /temperature/],
    [{ schedule: "sine" }, /schedule/],
    [{ guidanceInterval: [0.5, 0.1] }, /rise/],
    [{ order: "random" }, /order/],
  ];
  for (const [options, said] of wrong) {
    assert.throws(() => pipeline.stream(PROMPT, options), { name: "OptionsError", message: said });
  }
  const tasks = [[], 5, null, [5], { kind: "film" }];
  for (const task of tasks) {
    assert.throws(() => pipeline.stream(task as unknown as string), OptionsError, JSON.stringify(task));
  }
  assert.throws(() => textToImage("a", { picturesPerPrompt: 0 }), OptionsError);
  assert.throws(() => textToImage("a", { firstPicture: 2n ** 64n }), OptionsError);
  assert.throws(() => textToImage(["a", "b"], { negativePrompts: ["x", "y", "z"] }), OptionsError);
  assert.throws(() => variation("a", SCENE, { strength: 1.5 }), OptionsError);
  assert.throws(() => variation("a", { width: 2, height: 2, data: new Uint8Array(5) }), OptionsError);
  assert.throws(() => inpainting("a", SCENE, pictureOf({ size: [8, 8], background: 0, rectangles: [] })), OptionsError);
});

test("a bundle for CPUs is refused where it would be computed wrongly", async () => {
  const source = new FileSource(DEMO);
  const read = source.read.bind(source);
  source.read = async (path, options) => {
    const bytes = await read(path, options);
    const text = Buffer.from(bytes).toString();
    return path === "manifest.json" ? Buffer.from(text.replace('"optimize": "portable"', '"optimize": "cpu"')) : bytes;
  };
  await assert.rejects(openDemo({ executionProviders: ["webgpu"], verify: false }, source), ProviderError);
  await assert.rejects(openDemo({ executionProviders: [{ name: "webgpu" }], verify: false }, source), ProviderError);
  const onCpu = await openDemo({ executionProviders: ["cpu"], verify: false }, source);
  await onCpu.close();
});

test("logits that are no numbers end the run", async () => {
  const counting = countingOrt();
  const { create } = counting.ort.InferenceSession;
  const ort = {
    ...counting.ort,
    InferenceSession: {
      create: async (model: string, options?: object) => {
        const session = await create(model, options);
        const run = session.run.bind(session);
        session.run = async (feeds: object) => {
          const results = await run(feeds);
          results.logits?.data.fill(Number.NaN, 0, 5);
          return results;
        };
        return session;
      },
    },
  };
  const spoilt = await openDemo({ ort });
  await assert.rejects(spoilt.generate(PROMPT, SHORT), { name: "GenerationError", message: /not finite at step 1/ });
  await spoilt.close();
});

test("previews are pictures of a step as it is", async () => {
  const steps: Step[] = await all(pipeline.stream(PROMPT, SHORT));
  const [last] = await pipeline.preview(steps[2]);
  const [picture] = await pipeline.generate(PROMPT, SHORT);
  assert.deepEqual(last.data, picture.image.data);
  assert.equal((await pipeline.preview(steps[0])).length, 1);
  await assert.rejects(pipeline.decode(steps[0].tokens[0]), OptionsError);
});

test("a folder that is none, and a link that leaves it, are refused", async () => {
  await assert.rejects(openDemo({}, new FileSource("/nowhere")), BundleError);
});
