/** The phone benchmark, with Chromium in the phone's place, at two sizes of the screen. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launch, skip } from "../browser/support/chromium.js";
import { TINY_BUNDLE } from "../browser/support/paths.js";
import { buildPage, checkAccessible, checkWidth, DESKTOP, openStudio, PAGE, PHONE } from "./support/page.js";
import { StudioServer } from "./support/studio-server.js";

describe("the phone benchmark", { skip }, () => {
  let server: StudioServer;
  let browser: Browser;

  before(async () => {
    await buildPage();
    server = await new StudioServer(PAGE, { one: TINY_BUNDLE, two: TINY_BUNDLE }).start();
    browser = await launch(["--no-sandbox"]);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  async function plan(page: Page, values: Record<string, string>): Promise<void> {
    for (const [name, value] of Object.entries(values)) await page.getByLabel(name).fill(value);
  }

  test("on a phone it is measured in turns, goes on after a reload, and is handed over", async () => {
    const page = await openStudio(
      await browser.newContext({ ...PHONE, colorScheme: "dark" }),
      `${server.url}/#benchmark`,
    );
    await plan(page, { Rounds: "2", "Pictures a turn": "2", "Calls a turn": "2" });
    await checkAccessible(page, "before");
    await page.getByRole("button", { name: "Measure" }).tap();
    await page.getByText("A picture takes").waitFor();
    const partial = server.results.at(-1);
    assert.equal(partial?.complete, false);
    await page.reload(); // in the middle: it goes on by itself
    await page.getByText("Measured. The results were sent.").first().waitFor();
    await checkWidth(page);
    await checkAccessible(page, "after");
    const results = server.results.at(-1) ?? {};
    assert.deepEqual([results.run, results.complete], [partial?.run, true]);
    assert.deepEqual(
      [results.format, results.kind, results.rounds, results.failures],
      ["amused-edge benchmark", "latency", 2, []],
    );
    const labels = ["one", "two"];
    assert.deepEqual(
      results.subjects.map((one: { label: string }) => one.label),
      labels,
    );
    for (const label of labels) {
      const parts = results.timings.filter((one: { label: string }) => one.label === label);
      const names = parts.map((one: { part: string }) => one.part);
      const stages = ["text_encoder", "conditioner", "denoiser", "image_decoder"];
      assert.deepEqual(names, ["ready", "load", "first picture", "picture", ...stages]);
      const counts = parts.map((one: { seconds: { count: number } }) => one.seconds.count);
      assert.deepEqual(counts, [2, 2, 2, 4, 8, 4, 4, 4]); // the empty negative prompt is a call of its own
    }
    assert.equal(results.course.length, 8);
    assert.deepEqual(
      results.course.map((one: { at: number }) => one.at),
      results.course.map((one: { at: number }) => one.at).sort((a: number, b: number) => a - b),
    );
    assert.ok(
      results.golden.every(
        (one: { reproduced: boolean; equal_tokens: number }) => one.reproduced && one.equal_tokens === 1,
      ),
    );
    assert.ok(results.footprints.every((one: { peak: { total: number } }) => one.peak.total > 1e6));
    await page.context().close();
  });

  test("on a wide screen one bundle is measured, with logits to compare", async () => {
    const page = await openStudio(await browser.newContext(DESKTOP), `${server.url}/#benchmark`);
    await plan(page, { Rounds: "1", "Calls a turn": "1", Steps: "2" });
    await page.locator("#bench-bundles input").last().uncheck({ force: true });
    await page.getByRole("button", { name: "Measure" }).click();
    await page.getByText("Measured. The results were sent.").first().waitFor();
    await checkAccessible(page, "on a wide screen");
    const { quality, settings, subjects } = server.results.at(-1) ?? {};
    assert.deepEqual([subjects.length, settings[0].steps], [1, 2]);
    const [{ positions, codebook, logits, tokens }] = quality;
    assert.deepEqual([positions.length, codebook, tokens.length], [24, 32, 24]);
    const values = new Float32Array(Uint8Array.from(Buffer.from(logits, "base64")).buffer);
    assert.equal(values.length, 24 * 32);
    assert.ok(values.every(Number.isFinite) && new Set(values).size > 100);
    assert.deepEqual(page.complaints, []);
  });
});
