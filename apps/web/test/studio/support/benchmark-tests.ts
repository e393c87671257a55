/** The phone benchmark, with Chromium in the phone's place, at two sizes of the screen. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { TINY_BUNDLE } from "../../browser/support/paths.js";
import { checkAccessible, checkWidth, DESKTOP, openStudio, PAGE, PHONE } from "./page.js";
import { StudioServer } from "./studio-server.js";

const SETTINGS = {
  steps: 3,
  guidance_scale: 2.5,
  temperature: 1.5,
  schedule: "linear",
  guidance_ramp: "constant",
  guidance_interval: [0, 1],
  order: "confidence",
};

/** As `amused-edge bench device` gives it. */
const PLAN = {
  subjects: [{ label: "tiny", bundle: "one" }],
  prompt: "a red fox in the snow",
  seed: 0,
  settings: [SETTINGS, { ...SETTINGS, steps: 1 }],
  threads: [1],
  batches: [1],
  rounds: 2,
  pictures: 1,
  calls: 2,
  provider: "wasm",
  quality: { steps: [0, 1], rows: 5 },
};

// biome-ignore lint/suspicious/noExplicitAny: results as JSON
type Row = any;

/** Tests that share a browser with others; the page is built. */
export function benchmarkTests(chromium: () => Browser): void {
  describe("the phone benchmark", () => {
    let server: StudioServer;

    before(async () => {
      server = await new StudioServer(PAGE, { one: TINY_BUNDLE, two: TINY_BUNDLE }).start();
    });

    after(() => server?.stop());

    test("a phone follows the server's plan, goes on after a reload, and hands over its results", async () => {
      server.device = PLAN;
      const page = await openStudio(await chromium().newContext({ ...PHONE, colorScheme: "dark" }), server.url);
      await page.getByText("tiny: 2 rounds, with 1 picture of 3, 1 steps a turn").waitFor();
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
      const { format, kind, rounds, failures, settings } = results;
      assert.deepEqual([format, kind, rounds, failures], ["amused-edge benchmark", "latency", 2, []]);
      assert.deepEqual(settings, PLAN.settings);
      const stages = ["text_encoder", "conditioner", "denoiser", "image_decoder"];
      const parts = results.timings;
      const names = parts.map((one: Row) => one.part);
      assert.deepEqual(names, ["ready", "load", "first picture", "picture", "picture", ...stages]);
      const counts = parts.map((one: Row) => one.seconds.count);
      assert.deepEqual(counts, [2, 2, 2, 2, 2, 8, 8, 4, 4]); // words and no words: two calls of the first two
      const at = results.course.map((one: Row) => one.at);
      assert.deepEqual([at.length, at], [2, [...at].sort((a, b) => a - b)]);
      assert.ok(results.golden.every((one: Row) => one.reproduced && one.equal_tokens === 1));
      assert.ok(results.footprints.every((one: Row) => one.peak.total > 1e6));
      checkQuality(server.results.filter((one) => one.quality).at(-1)?.quality, 39);
      const { length } = server.results;
      await page.evaluate(() => {
        const key = "amused-edge benchmark"; // as if the last hand-over had failed
        localStorage.setItem(key, JSON.stringify({ ...JSON.parse(localStorage.getItem(key) ?? ""), sent: false }));
      });
      await page.reload();
      await page.getByText("This was measured before. The results were sent.").first().waitFor();
      const again = server.results.slice(length).map((one) => [one.run, one.complete]);
      assert.deepEqual(again, [[results.run, true]]);
      await page.context().close();
    });

    test("without a plan one is chosen, on a wide screen, and the results stay here", async () => {
      server.device = null;
      const before = server.results.length;
      const page = await openStudio(
        await chromium().newContext({ ...DESKTOP, serviceWorkers: "block" }),
        `${server.url}/#benchmark`,
      );
      for (const name of ["rounds", "calls", "steps"]) await page.locator(`#bench-${name}`).fill("1");
      await page.locator("#bench-bundles input").last().uncheck({ force: true });
      await page.getByRole("button", { name: "Measure" }).click();
      await page.getByText("Measured. Save the results to keep them.").first().waitFor();
      await checkAccessible(page, "on a wide screen");
      assert.equal(server.results.length, before);
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Save the results" }).click(),
      ]);
      const { subjects, settings } = JSON.parse(await readFile(await download.path(), "utf8"));
      assert.deepEqual([subjects.length, settings[0].steps], [1, 1]);
      assert.deepEqual(page.complaints, []);
    });
  });
}

/** Python's reader takes nothing else. */
function checkQuality(quality: Row[], maskTokenId: number): void {
  assert.deepEqual(
    quality.map((one) => one.label),
    ["tiny"],
  );
  for (const { tokens, states } of quality) {
    assert.deepEqual([tokens.length, tokens[0].length, states.length], [4, 6, 2]);
    assert.ok(tokens.flat().every((token: number) => token < 32));
    for (const { step, tokens: grid, rows, logits } of states) {
      assert.ok(rows.length > 0 && rows.every((row: number) => grid.flat()[row] === maskTokenId));
      const values = new Float32Array(Uint8Array.from(Buffer.from(logits, "base64")).buffer);
      assert.equal(values.length, rows.length * 32, `step ${step}`);
      assert.ok(values.every(Number.isFinite) && new Set(values).size > 100);
    }
  }
}
