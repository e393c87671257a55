/** Whole pictures in Chromium: a bundle of a server, a worker, WebAssembly with one thread and with two. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { OpenAsked } from "./pages/probe.js";
import { launch, openPage, skip } from "./support/chromium.js";
import { BUILD, DEMO_BUNDLE, ONNXRUNTIME, PAGES } from "./support/paths.js";
import { TestServer } from "./support/server.js";

describe("drawing", { skip }, () => {
  let server: TestServer;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let golden: { prompt: string; tokens: number[]; pixels: number[] };

  before(async () => {
    golden = JSON.parse(await readFile(join(DEMO_BUNDLE, "golden.json"), "utf8"));
    server = await new TestServer({ build: BUILD, pages: PAGES, ort: ONNXRUNTIME, bundle: DEMO_BUNDLE }).start();
    browser = await launch();
    context = await browser.newContext();
    page = await openPage(context, `${server.url}/pages/probe.html`);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(() => server.reset());

  const open = (asked: OpenAsked = {}) => page.evaluate((all) => window.probe.open("/bundle", all), asked);
  const draw = (stop?: number) =>
    page.evaluate(([prompt, after]) => window.probe.draw(prompt, 0, after), [golden.prompt, stop] as const);

  test("cancelled in the download and in the check, a bundle opens later", async () => {
    for (const cancelAt of ["begin", "download", "check"] as const) {
      const ending = await open({ cancelAt });
      assert.equal(ending.name, "CancelledError", `${cancelAt}: ${ending.message}`);
    }
    const checks = (await open({ checkGolden: false })).progress.filter((now) => now.stage === "download");
    assert.deepEqual(checks, [], "it was all there");
  });

  test("a picture has Python's tokens and pixels, and the page is told of the download", async () => {
    await page.evaluate(() => window.probe.clear());
    const { progress, ...ending } = await open({ threads: 1, keepGraphs: true });
    assert.deepEqual(ending, { warnings: [] });
    const fetched = progress.filter((now) => now.stage === "download");
    assert.ok(fetched.every((now, i) => now.loaded <= now.total && now.loaded >= (fetched[i - 1]?.loaded ?? 0)));
    assert.equal(fetched.at(-1)?.loaded, fetched.at(-1)?.total);
    assert.equal(server.sent("/bundle/image_encoder"), 0, "only variations and in-painting need it");
    const drawn = await draw();
    assert.equal(drawn.message, undefined);
    assert.deepEqual(drawn.tokens, golden.tokens);
    const corner = golden.pixels.map((_, i) => drawn.pixels?.[Math.floor(i / 12) * 64 * 3 + (i % 12)] ?? Number.NaN);
    const far = corner.filter((value, i) => !(Math.abs(value - (golden.pixels[i] ?? 0)) <= 1));
    assert.deepEqual(far, []);
  });

  test("after a reload nothing is fetched and nothing is checked again; two threads draw the same", async () => {
    await page.reload();
    server.reset();
    const { progress, ...ending } = await open({ threads: 2 });
    assert.deepEqual([ending, progress], [{ warnings: [] }, []]);
    assert.equal(server.sent("/bundle"), 0);
    assert.deepEqual((await draw()).tokens, golden.tokens);
  });

  test("cancelled after a step, it draws the whole picture later", async () => {
    const stopped = await draw(3);
    assert.equal(stopped.name, "CancelledError");
    assert.ok(stopped.steps <= 4, `${stopped.steps} steps`);
    assert.deepEqual((await draw()).tokens, golden.tokens);
  });

  test("a page that is not isolated has one thread, and is told so; a server that fails does not keep it", async () => {
    server.isolated = false;
    await page.reload();
    server.fail("/bundle/manifest.json", { kind: "status", status: 503 });
    const { progress, ...ending } = await open({ threads: 2, keepGraphs: true });
    assert.deepEqual(progress, []);
    assert.deepEqual(ending, {
      warnings: ["one thread instead of 2: the page is not isolated (COOP and COEP headers)"],
    });
    assert.deepEqual((await draw()).tokens, golden.tokens);
  });

  test("an image encoder that was not fetched comes when it is needed", async () => {
    const encoded = await page.evaluate((tokens) => window.probe.encode(tokens), golden.tokens);
    assert.equal(encoded.length, 256);
    assert.ok(server.sent("/bundle/image_encoder") > 0);
    const same = encoded.filter((code, i) => code === golden.tokens[i]).length;
    assert.ok(same > 64, `${same} of 256 codes of a decoded picture come back`); // by chance 1
  });

  test("what is kept is listed, and removed", async () => {
    const before = await page.evaluate(() => window.probe.kept());
    assert.deepEqual(before, [`${server.url}/bundle/`]);
    await page.evaluate(() => window.probe.forget("/bundle"));
    assert.deepEqual(await page.evaluate(() => window.probe.kept()), []);
    const keys = await page.evaluate(() => window.probe.keys());
    assert.deepEqual(
      keys.filter((key) => !key.startsWith("golden/")),
      [],
    );
  });
});
