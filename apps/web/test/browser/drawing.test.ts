/** Whole pictures in Chromium: a bundle of a server, a worker, WebAssembly with one thread and with two. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { OpenAsked } from "./pages/probe.js";
import { launch, openPage, skip } from "./support/chromium.js";
import { BUILD, DEMO_BUNDLE, ONNXRUNTIME, PAGES, TINY_BUNDLE } from "./support/paths.js";
import { TestServer } from "./support/server.js";

/** What Python drew with a bundle. */
interface Golden {
  readonly prompt: string;
  readonly tokens: number[];
  readonly pixels: number[];
}

describe("drawing", { skip }, () => {
  let server: TestServer;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let golden: Golden;
  let tiny: Golden;

  before(async () => {
    golden = JSON.parse(await readFile(join(DEMO_BUNDLE, "golden.json"), "utf8"));
    tiny = JSON.parse(await readFile(join(TINY_BUNDLE, "golden.json"), "utf8"));
    const folders = { build: BUILD, pages: PAGES, ort: ONNXRUNTIME, bundle: DEMO_BUNDLE, tiny: TINY_BUNDLE };
    server = await new TestServer(folders).start();
    browser = await launch();
    context = await browser.newContext();
    page = await openPage(context, `${server.url}/pages/probe.html`);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(() => server.reset());

  const open = (asked: OpenAsked = {}, url = "/bundle") =>
    page.evaluate(([at, all]) => window.probe.open(at, all), [url, asked] as const);
  const draw = (stop?: number) =>
    page.evaluate(([prompt, after]) => window.probe.draw(prompt, 0, after), [golden.prompt, stop] as const);

  test("cancelled in the download and in the check, a bundle opens later", async () => {
    for (const cancelAt of ["begin", "download", "check"] as const) {
      const ending = await open({ cancelAt }, "/tiny");
      assert.equal(ending.name, "CancelledError", `${cancelAt}: ${ending.message}`);
    }
    const checks = (await open({ checkGolden: false }, "/tiny")).progress.filter((now) => now.stage === "download");
    assert.deepEqual(checks, [], "it was all there");
  });

  test("a picture has Python's tokens and pixels, and the page is told of the download", async () => {
    const { progress, ...ending } = await open({ threads: 1, keepGraphs: true, checkGolden: false });
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

  test("cancelled after a step, it is free for the next picture; after a reload, with two threads, nothing is fetched", async () => {
    const stopped = await draw(2);
    assert.equal(stopped.name, "CancelledError");
    assert.ok(stopped.steps <= 3, `${stopped.steps} steps`);
    await page.reload();
    server.reset();
    const { progress, ...ending } = await open({ threads: 2, keepGraphs: true, checkGolden: false });
    assert.deepEqual([ending, progress], [{ warnings: [] }, []]);
    assert.equal(server.sent("/bundle"), 0);
    assert.deepEqual((await draw(1)).name, "CancelledError");
    assert.deepEqual((await draw()).tokens, golden.tokens);
  });

  test("a page that is not isolated has one thread, and is told so; a server that fails does not keep it", async () => {
    server.isolated = false;
    await page.reload();
    server.fail("/tiny/manifest.json", { kind: "status", status: 503 });
    const { progress, ...ending } = await open({ threads: 2 }, "/tiny");
    assert.deepEqual(
      progress.map((now) => now.stage),
      ["check", "check"],
    );
    assert.deepEqual(ending, {
      warnings: ["one thread instead of 2: the page is not isolated (COOP and COEP headers)"],
    });
    const again = await open({}, "/tiny");
    assert.deepEqual(again.progress, [], "what was checked is not checked again");
    const drawn = await page.evaluate((prompt) => window.probe.draw(prompt), tiny.prompt);
    assert.deepEqual(drawn.tokens, tiny.tokens);
  });

  test("an image encoder that was not fetched comes when it is needed", async () => {
    const encoded = await page.evaluate((tokens) => window.probe.encode(tokens), tiny.tokens);
    assert.equal(encoded.length, tiny.tokens.length);
    assert.ok(server.sent("/tiny/image_encoder") > 0);
  });

  test("what is kept is listed, and removed", async () => {
    const before = await page.evaluate(() => window.probe.kept());
    assert.deepEqual(before.sort(), [`${server.url}/bundle/`, `${server.url}/tiny/`]);
    await page.evaluate(() => window.probe.forget("/bundle"));
    assert.deepEqual(await page.evaluate(() => window.probe.kept()), [`${server.url}/tiny/`]);
    server.reset();
    const { progress } = await open({}, "/tiny");
    assert.deepEqual(progress, [], "what another bundle has too stays");
    await page.evaluate(() => window.probe.forget());
    assert.deepEqual(await page.evaluate(() => window.probe.keys()), []);
  });
});
