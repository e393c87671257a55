/** Whole pictures in Chromium, from a server to the canvas. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import type { OpenAsked } from "./pages/probe.js";
import { launch, openPage, skip } from "./support/chromium.js";
import { BUILD, DEMO_BUNDLE, ONNXRUNTIME, PAGES } from "./support/paths.js";
import { TestServer } from "./support/server.js";

describe("drawing", { skip }, () => {
  let server: TestServer;
  let browser: Browser;
  let page: Page;
  let golden: { prompt: string; tokens: number[]; pixels: number[] };

  before(async () => {
    golden = JSON.parse(await readFile(join(DEMO_BUNDLE, "golden.json"), "utf8"));
    server = await new TestServer({ build: BUILD, pages: PAGES, ort: ONNXRUNTIME, bundle: DEMO_BUNDLE }).start();
    browser = await launch();
    page = await openPage(await browser.newContext(), `${server.url}/pages/probe.html`);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(() => server.reset());

  const open = (asked: OpenAsked = {}, on = page) => on.evaluate((all) => window.probe.open("/bundle", all), asked);
  const draw = (cancelAfter?: number) =>
    page.evaluate(([prompt, stop]) => window.probe.draw(prompt, 0, stop), [golden.prompt, cancelAfter] as const);

  test("a picture of the demo has Python's tokens; nothing is fetched twice", async () => {
    const ending = await open({ threads: 1, keepGraphs: true });
    assert.equal(ending.message, undefined);
    const drawn = await draw();
    assert.equal(drawn.message, undefined);
    assert.deepEqual(drawn.tokens, golden.tokens);
    console.warn(drawn.ms);
  });
});
