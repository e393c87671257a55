/** WebGPU in software: a whole picture of a tiny bundle, as close to Python's numbers as the bundle asks for. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launch, openPage, skip } from "./support/chromium.js";
import { BUILD, ONNXRUNTIME, PAGES, TINY_BUNDLE } from "./support/paths.js";
import { TestServer } from "./support/server.js";

describe("WebGPU", { skip }, () => {
  let server: TestServer;
  let browser: Browser;
  let page: Page;

  before(async () => {
    server = await new TestServer({ build: BUILD, pages: PAGES, ort: ONNXRUNTIME, tiny: TINY_BUNDLE }).start();
    browser = await launch();
    page = await openPage(browser, `${server.url}/pages/probe.html`);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("a picture has Python's tokens, its logits differ by rounding", async (context) => {
    const ending = await page.evaluate(() =>
      window.probe.open("/tiny", { provider: "webgpu", keepGraphs: true, checkGolden: false }),
    );
    assert.equal(ending.message, undefined);
    const report = await page.evaluate(() => window.probe.checkGolden());
    context.diagnostic(JSON.stringify(report));
    assert.ok(report?.reproduced, JSON.stringify(report));
    assert.equal(report.equalTokens, 1);
    assert.ok(report.logitError > 0, "another engine, other roundings: this was not the CPU");
  });
});
