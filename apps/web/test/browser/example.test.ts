/** The example page as a visitor uses it, on a phone. */
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { launch, openPage, skip } from "./support/chromium.js";
import { BUILD, DEMO_BUNDLE, EXAMPLE, ONNXRUNTIME, REPOSITORY, TINY_BUNDLE } from "./support/paths.js";
import { TestServer } from "./support/server.js";

/** Where the screenshots go, to be looked at. */
const SCREENSHOTS = join(BUILD, "screenshots");
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true } as const;

describe("the example page", { skip }, () => {
  let server: TestServer;
  let tiny: TestServer;
  let browser: Browser;

  before(async () => {
    await mkdir(SCREENSHOTS, { recursive: true });
    const folders = { "amused-edge": join(BUILD, "src"), ort: ONNXRUNTIME, "": EXAMPLE };
    server = await new TestServer({ ...folders, bundle: DEMO_BUNDLE }).start();
    tiny = await new TestServer({ ...folders, bundle: TINY_BUNDLE }).start();
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    await tiny?.stop();
  });

  test("it draws, says what it does, and stops when asked", async () => {
    const context = await browser.newContext({ ...PHONE, colorScheme: "dark" });
    const page = await openPage(context, `${server.url}/`);
    const status = page.getByRole("status");
    await page.getByRole("button", { name: "Draw" }).tap();
    await page.getByRole("img", { name: "a red fox on a blue background" }).waitFor({ timeout: 240_000 });
    assert.match((await status.textContent()) ?? "", /^Drawn in [\d.]+ s/);
    await page.screenshot({ path: join(SCREENSHOTS, "example-phone-dark.png"), fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.equal(wide, false, "nothing reaches beyond the screen");
    await page.getByLabel("What shall be drawn?").fill("a green tree");
    await page.getByLabel("What shall be drawn?").press("Enter");
    await page.getByRole("button", { name: "Stop" }).tap();
    await page.getByText("Stopped.").waitFor();
    assert.ok(await page.getByRole("button", { name: "Draw" }).isEnabled());
    await page.emulateMedia({ colorScheme: "light" });
    await page.screenshot({ path: join(SCREENSHOTS, "example-phone-light.png"), fullPage: true });
    assert.deepEqual(page.complaints, []);
  });

  test("the smallest example, which docs/web.md prints, draws", async () => {
    const text = await readFile(join(EXAMPLE, "smallest.js"), "utf8");
    assert.ok((await readFile(join(REPOSITORY, "docs/web.md"), "utf8")).includes(text));
    const page = await openPage(browser, `${tiny.url}/smallest.html`);
    await page.waitForFunction(() => document.querySelector("canvas")?.width === 12, undefined, { timeout: 120_000 });
    assert.deepEqual(page.complaints, []);
    await page.close();
  });

  test("it says what went wrong", async () => {
    server.fail("/bundle/manifest.json", { kind: "status", status: 404 });
    const page = await openPage(await browser.newContext(PHONE), `${server.url}/`);
    await page.getByRole("button", { name: "Draw" }).tap();
    await page.getByText(/It did not work: cannot fetch .*manifest.json \(the server answered 404\)/).waitFor();
  });
});
