/** The studio as a visitor uses it, in one browser: draw, vary, repaint, extend, stop, come back, without a network. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { readPng } from "../../src/node/png.js";
import { launch, skip } from "../browser/support/chromium.js";
import { DEMO_BUNDLE, REPOSITORY, TINY_BUNDLE } from "../browser/support/paths.js";
import { benchmarkTests } from "./support/benchmark-tests.js";
import {
  buildPage,
  checkAccessible,
  checkWidth,
  choose,
  DESKTOP,
  draw,
  openStudio,
  PAGE,
  PHONE,
  SCREENSHOTS,
  task,
} from "./support/page.js";
import { StudioServer } from "./support/studio-server.js";

const COMMAND = join(REPOSITORY, ".venv/bin/amused-edge");
const PROMPT = "a red fox on a blue background";

describe("the studio", { skip }, () => {
  let folder: string;
  let server: StudioServer;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page & { complaints: string[] };

  before(async () => {
    await mkdir(SCREENSHOTS, { recursive: true });
    folder = await mkdtemp(join(tmpdir(), "studio-"));
    await cp(TINY_BUNDLE, join(folder, "wrong"), { recursive: true });
    const manifest = JSON.parse(await readFile(join(TINY_BUNDLE, "manifest.json"), "utf8"));
    manifest.graphs.denoiser.files[0].sha256 = "0".repeat(64); // what is kept of the same hash would be taken
    await writeFile(join(folder, "wrong/manifest.json"), JSON.stringify(manifest));
    await buildPage();
    server = await new StudioServer(PAGE, {
      demo: DEMO_BUNDLE,
      tiny: TINY_BUNDLE,
      wrong: join(folder, "wrong"),
    }).start();
    browser = await launch(["--no-sandbox", "--host-resolver-rules=MAP plain.test 127.0.0.1"]);
    context = await browser.newContext({ ...DESKTOP, colorScheme: "light", acceptDownloads: true });
    page = await openStudio(context, server.url);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Save what is drawn, and return the file's name and content. */
  async function saved(on = page): Promise<string> {
    const [download] = await Promise.all([
      on.waitForEvent("download"),
      on
        .getByRole("button", { name: /^Save / })
        .first()
        .click(),
    ]);
    const path = join(folder, `${crypto.randomUUID()}.png`);
    await download.saveAs(path);
    return path;
  }

  const pixels = async (path: string) => readPng(await readFile(path)).image;
  const chosen = (files: string | { name: string; mimeType: string; buffer: Buffer }) =>
    page.locator("#file").setInputFiles(files);

  test("a picture has Python's tokens, and its file is read and drawn again by Python's command", async (context) => {
    const golden = JSON.parse(await readFile(join(DEMO_BUNDLE, "golden.json"), "utf8"));
    await page.getByLabel("What shall be drawn?").fill(golden.prompt);
    const seen = page.waitForFunction(
      () => document.querySelector(".tile.drawing .veil")?.getAttribute("width") === "16",
    );
    const [told] = await draw(page);
    await seen; // the open tokens were veiled on the way
    assert.deepEqual(told.tokens, golden.tokens);
    await page.getByRole("img", { name: golden.prompt }).waitFor();
    const file = await saved();
    if (!existsSync(COMMAND)) return context.diagnostic(`not checked with Python's command: ${COMMAND} is missing`);
    const run = promisify(execFile);
    const again = join(folder, "again.png");
    const [{ stdout }] = await Promise.all([
      run(COMMAND, ["inspect", file]),
      run(COMMAND, ["generate", DEMO_BUNDLE, "--like", file, "-o", again, "--quiet"]),
    ]);
    assert.match(stdout, /a red fox on a blue background/);
    const [ours, theirs] = [await pixels(file), await pixels(again)];
    assert.ok(ours.data.every((level, i) => Math.abs(level - theirs.data[i]) <= 1));
  });

  test("heat map, a seed at random, and nothing against the page from axe-core, dark and light", async () => {
    await page.getByText("How sure the model is").click();
    assert.equal(await page.locator(".frame canvas:not([hidden])").count(), 2);
    await page.getByRole("button", { name: "Another seed at random" }).click();
    assert.notEqual(await page.getByLabel("Seed", { exact: true }).inputValue(), "0");
    await page.getByLabel("Seed", { exact: true }).fill("0");
    await checkAccessible(page, "drawn, light");
    await page.getByRole("button", { name: /Appearance/ }).click();
    await page.getByRole("button", { name: "Appearance: light" }).click();
    await checkAccessible(page, "drawn, dark");
    assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "dark");
  });

  test("a picture is varied", async () => {
    await page.getByRole("button", { name: /^Vary / }).click();
    await page.locator("#steps").fill("4");
    const [told] = await draw(page);
    const { task } = JSON.parse(told.parameters);
    assert.deepEqual([task.kind, task.strength], ["variation", 0.5]);
    await checkAccessible(page, "a variation");
  });

  test("a mask is painted, and what is outside of it stays", async () => {
    const photo = join(folder, "photo.png");
    await page.getByRole("img", { name: "Starting picture" }).waitFor();
    await page.locator(".shelf button").last().click();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save", exact: true }).click(),
    ]);
    await download.saveAs(photo);
    await checkAccessible(page, "one of the history");
    await page.keyboard.press("Escape");
    await task(page, "Repaint");
    await page.locator(".mask").evaluate((mask) => mask.classList.add("of-the-picture-before"));
    await chosen(photo);
    await page.locator(".mask:not(.of-the-picture-before)").waitFor(); // files are read in their own time
    const box = await page.locator(".mask").boundingBox();
    assert.ok(box);
    const at = (x: number, y: number): [number, number] => [box.x + x * box.width, box.y + y * box.height];
    await page.mouse.move(...at(0.25, 0.25));
    await page.mouse.down();
    await page.mouse.move(...at(0.25, 0.75), { steps: 4 });
    await page.mouse.up();
    await page.getByText(/The mask covers \d+ % of the picture/).waitFor({ state: "attached" });
    await page.screenshot({ path: join(SCREENSHOTS, "studio-repaint.png") });
    await checkAccessible(page, "a mask");
    const [told] = await draw(page);
    assert.equal(JSON.parse(told.parameters).task.kind, "inpainting");
    const [before, after] = [await pixels(photo), await pixels(await saved())];
    const changed = (x: number, y: number): boolean =>
      [0, 1, 2].some((c) => before.data[3 * (64 * y + x) + c] !== after.data[3 * (64 * y + x) + c]);
    const share = (from: number, to: number): number => {
      let count = 0;
      for (let y = 0; y < 64; y++) for (let x = from; x < to; x++) count += Number(changed(x, y));
      return count / (64 * (to - from));
    };
    assert.equal(share(32, 64), 0, "the right half was not painted on");
    assert.ok(share(12, 20) > 0.3, `of the painted part ${share(12, 20)} changed`);
  });

  test("keys alone paint and undo a mask", async () => {
    await page.getByRole("button", { name: "Clear" }).click();
    await page.locator(".mask").focus();
    await page.keyboard.press("Space");
    await page.getByText(/The mask covers/).waitFor({ state: "attached" });
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("Nothing is painted.").waitFor({ state: "attached" });
  });

  test("the frame is dragged out, and what is around is drawn", async () => {
    await task(page, "Extend");
    const handle = page.getByRole("slider", { name: "Margin, right, in pixels" });
    const before = Number(await handle.getAttribute("aria-valuenow"));
    const box = await handle.boundingBox();
    assert.ok(box);
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2 + 60, box.y + box.height / 2, { steps: 3 });
    await page.mouse.up();
    assert.ok(Number(await handle.getAttribute("aria-valuenow")) > before);
    await page.getByRole("slider", { name: "Margin, left, in pixels" }).press("ArrowLeft");
    await checkAccessible(page, "a frame");
    const [told] = await draw(page);
    const { kind, coverage, fit } = JSON.parse(told.parameters).task;
    assert.deepEqual([kind, coverage, fit], ["inpainting", "any", "exact"]);
  });

  test("it stops when asked, draws again, and shows several bundles side by side", async () => {
    await task(page, "Create");
    await page.locator("#steps").fill("60");
    await page.getByRole("button", { name: "Draw", exact: true }).click();
    await page.locator("#status", { hasText: /Step \d/ }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("Stopped.").first().waitFor();
    await page.locator("#steps").fill("2");
    await choose(page, "demo", "tiny");
    const told = await draw(page, 2);
    assert.deepEqual(
      told.map((one) => one.bundle),
      ["demo", "tiny"],
    );
    assert.equal(await page.locator(".tile").count(), 2);
  });

  test("a wrong bundle is an error that says why, and does not keep another from drawing", async () => {
    await choose(page, "tiny", "wrong");
    await page.getByRole("button", { name: "Draw", exact: true }).click();
    await page.getByRole("alert").filter({ hasText: "This bundle cannot be used" }).waitFor();
    await page.locator("#draw:not([hidden])").waitFor();
    assert.match((await page.getByRole("alert").textContent()) ?? "", /denoiser\.onnx/);
    assert.equal(await page.getByRole("button", { name: /^Save / }).count(), 1);
    await checkAccessible(page, "an error");
    await choose(page, "tiny");
  });

  test("another tab sees the history at once, and draws too; nothing is fetched twice", async () => {
    const before = server.sent.get("/bundles/tiny/denoiser.onnx.data");
    const other = await openStudio(context, server.url);
    const count = await other.locator(".shelf li").count();
    assert.ok(count >= 6, `${count} pictures`);
    await choose(other, "tiny");
    await Promise.all([draw(page), draw(other)]);
    await page.locator(`.shelf li:nth-child(${count + 2})`).waitFor();
    assert.equal(server.sent.get("/bundles/tiny/denoiser.onnx.data"), before);
    assert.deepEqual(other.complaints, []);
    await other.close();
  });

  test("after a reload without a network it draws what it drew before, with the settings of the history", async () => {
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    const complaints = page.complaints.filter((said) => !/denoiser\.onnx/.test(said));
    assert.deepEqual(complaints, []);
    await server.stop();
    await page.reload();
    await page.locator("[data-ready]").waitFor();
    const golden = JSON.parse(await readFile(join(TINY_BUNDLE, "golden.json"), "utf8"));
    await choose(page, "tiny");
    await page.locator("#steps").fill("");
    await page.getByLabel("What shall be drawn?").fill(golden.prompt);
    assert.deepEqual((await draw(page))[0].tokens, golden.tokens);
    await page.getByLabel("What shall be drawn?").fill("");
    await page.locator(".shelf button").last().click();
    await page.getByRole("button", { name: "Use these settings" }).click();
    assert.equal(await page.getByLabel("What shall be drawn?").inputValue(), PROMPT);
    assert.equal(await page.locator("#steps").inputValue(), "12");
    await server.start();
  });

  test("a phone by plain http is told what it lacks, and draws on the server", async () => {
    server.compute = "server";
    const plain = server.url.replace("127.0.0.1", "plain.test");
    const phone = await openStudio(await browser.newContext({ ...PHONE, colorScheme: "dark" }), plain);
    await task(phone, "Repaint");
    await checkAccessible(phone, "no starting picture yet");
    await phone.getByRole("button", { name: "Draw", exact: true }).tap();
    await phone.getByRole("alert").filter({ hasText: "There is no starting picture yet" }).waitFor();
    await task(phone, "Create");
    await phone.getByLabel("What shall be drawn?").fill("a green tree");
    await phone.locator("#steps").fill("3");
    const [told] = await draw(phone);
    const [asked] = server.requests.slice(-1);
    assert.deepEqual([asked.task, asked.prompts, asked.steps], ["text_to_image", ["a green tree"], 3]);
    assert.equal(JSON.parse(told.parameters).settings.steps, 3);
    await checkWidth(phone);
    await checkAccessible(phone, "a phone, dark");
    await phone.locator("#steps").fill("100");
    await phone.getByRole("button", { name: "Draw", exact: true }).tap();
    await phone.locator("#status", { hasText: /Step \d/ }).waitFor();
    await phone.getByRole("button", { name: "Stop" }).tap();
    await phone.getByText("Stopped.").first().waitFor();
    const { left } = server;
    assert.ok(left > 0 || (await new Promise((resolve) => setTimeout(() => resolve(server.left > 0), 500))));
    server.compute = "page";
    server.isolated = false;
    await phone.reload();
    await phone
      .getByRole("note")
      .filter({ hasText: /one thread, no graphics card, and keeps no model/ })
      .waitFor();
    await phone.context().close();
    server.isolated = true;
  });

  benchmarkTests(() => browser);
});
