/** Downloads in Chromium: kept by their hash, gone on with, refused; each fault ends in one error of its own kind. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import type { FileEntry } from "../../src/index.js";
import { launch, openPage, skip } from "./support/chromium.js";
import { BUILD, PAGES } from "./support/paths.js";
import { TestServer } from "./support/server.js";

const KB = 1024;
const PATH = "/files/weights.bin";

describe("downloads", { skip }, () => {
  let folder: string;
  let server: TestServer;
  let browser: Browser;
  let page: Page;
  let content: Buffer;
  let file: FileEntry;
  let url: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "downloads-"));
    content = Buffer.alloc(150 * KB + 5); // two parts and a bit
    for (let i = 0; i < content.length; i += 4096) content.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
    await writeFile(join(folder, "weights.bin"), content);
    file = { path: "weights.bin", bytes: content.length, sha256: hash(content) };
    server = await new TestServer({ build: BUILD, pages: PAGES, files: folder }).start();
    browser = await launch([`--host-resolver-rules=MAP plain.test 127.0.0.1`, "--no-sandbox"]);
    page = await openPage(await browser.newContext(), `${server.url}/pages/probe.html`);
    url = server.url + PATH;
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    server.reset();
    await page.evaluate(() => window.probe.clear());
  });

  const download = (on = page, asked: { waits?: number[]; cancelAt?: number } = {}) =>
    on.evaluate((all) => window.probe.download(all), { url, file, ...asked });
  const stored = (on = page) => on.evaluate((one) => window.probe.stored(one), file);
  const keys = (on = page) => on.evaluate(() => window.probe.keys());

  test("a file is fetched once, and read whole and in part", async () => {
    assert.deepEqual(await download(), { loaded: content.length });
    assert.equal(await stored(), file.sha256);
    const range = { first: 64 * KB - 3, length: 70 * KB };
    const part = await page.evaluate(([one, of]) => window.probe.stored(one, of), [file, range] as const);
    assert.equal(part, hash(content.subarray(range.first, range.first + range.length)));
    server.reset();
    assert.deepEqual(await download(), { loaded: content.length });
    assert.deepEqual(server.answers, []);
  });

  test("a broken connection is gone on with by Range", async () => {
    server.fail(PATH, { kind: "cut", at: 140 * KB, times: 1 });
    assert.deepEqual(await download(), { loaded: content.length });
    assert.equal(await stored(), file.sha256);
    const [first, second, ...more] = server.answers;
    assert.deepEqual([first?.status, first?.range, second?.status, more], [200, undefined, 206, []]);
    assert.ok((second?.bytes ?? 0) < 90 * KB, `bytes of the second answer: ${second?.bytes}`);
  });

  test("a lost network is a DownloadError; the next visit fetches only what is missing", async () => {
    server.fail(PATH, { kind: "cut", at: 140 * KB });
    const ending = await download(page, { waits: [] });
    assert.equal(ending.name, "DownloadError");
    assert.match(ending.message ?? "", /broke off after \d+ of 153605 bytes \(network error\)/);
    assert.equal(await stored(), undefined);
    server.reset();
    await page.reload();
    assert.deepEqual(await download(), { loaded: content.length });
    assert.equal(await stored(), file.sha256);
    assert.equal(server.sent(PATH), content.length - 128 * KB);
  });

  test("a server without Range sends all again, and the file is right", async () => {
    server.fail(PATH, { kind: "cut", at: 140 * KB, times: 1 });
    await download(page, { waits: [] });
    server.fail(PATH, { kind: "whole" });
    assert.deepEqual(await download(), { loaded: content.length });
    assert.equal(await stored(), file.sha256);
  });

  test("a damaged file is a BundleError, and nothing of it stays", async () => {
    server.fail(PATH, { kind: "flip", at: 140 * KB });
    const ending = await download();
    assert.equal(ending.name, "BundleError");
    assert.match(ending.message ?? "", /damaged: its SHA-256/);
    assert.deepEqual(await keys(), []);
  });

  test("a part that an earlier visit got damaged is fetched again", async () => {
    server.fail(PATH, { kind: "flip", at: KB });
    const first = download(page, { cancelAt: 140 * KB });
    assert.equal((await first).name, "CancelledError");
    assert.notDeepEqual(await keys(), []);
    server.reset();
    assert.deepEqual(await download(), { loaded: content.length });
    assert.equal(await stored(), file.sha256);
  });

  test("a server that fails for a moment is asked again, a file that is not there is not", async () => {
    server.fail(PATH, { kind: "status", status: 503, times: 2 });
    assert.deepEqual(await download(page, { waits: [5, 5] }), { loaded: content.length });
    await page.evaluate(() => window.probe.clear());
    server.reset();
    server.fail(PATH, { kind: "status", status: 404 });
    const ending = await download();
    assert.equal(ending.name, "DownloadError");
    assert.match(ending.message ?? "", /answered 404/);
    assert.equal(server.answers.length, 1);
  });

  for (const [what, bytes] of [
    ["shorter", -1],
    ["longer", 1],
  ] as const) {
    test(`a file that is ${what} than the manifest says is a BundleError`, async () => {
      const other = { ...file, bytes: file.bytes - bytes };
      const ending = await page.evaluate((all) => window.probe.download(all), { url, file: other });
      assert.equal(ending.name, "BundleError");
      assert.deepEqual(await keys(), []);
    });
  }

  for (const cancelAt of [0, 1, 64 * KB, 150 * KB]) {
    test(`cancelled at ${cancelAt} bytes, it does not count as whole and goes on later`, async () => {
      const ending = await download(page, { cancelAt });
      assert.equal(ending.name, "CancelledError");
      assert.equal(await stored(), undefined);
      assert.deepEqual(await download(), { loaded: content.length });
      assert.equal(await stored(), file.sha256);
    });
  }

  test("cancelled while the server is silent", async () => {
    server.fail(PATH, { kind: "stall", at: 30 * KB });
    const ending = await download(page, { cancelAt: 30 * KB });
    assert.equal(ending.name, "CancelledError");
  });

  test("a full browser is a StorageError, and nothing of the file stays", async () => {
    const session = await page.context().newCDPSession(page);
    await session.send("Storage.overrideQuotaForOrigin", { origin: server.url, quotaSize: 20 * KB });
    const ending = await download();
    await session.send("Storage.overrideQuotaForOrigin", { origin: server.url });
    assert.equal(ending.name, "StorageError");
    assert.match(ending.message ?? "", /does not keep 0\.1 MB more/);
    assert.deepEqual(await keys(), []);
  });

  test("two tabs fetch a file once", async () => {
    const other = await page.context().newPage();
    await other.goto(`${server.url}/pages/probe.html`);
    const endings = await Promise.all([download(), download(other)]);
    await other.close();
    assert.deepEqual(endings, [{ loaded: content.length }, { loaded: content.length }]);
    assert.equal(server.sent(PATH), content.length);
  });

  test("without a network it is a DownloadError", async () => {
    await page.context().setOffline(true);
    const ending = await download();
    await page.context().setOffline(false);
    assert.equal(ending.name, "DownloadError");
  });

  test("a page that came by plain http keeps files in memory", async () => {
    const plain = server.url.replace("127.0.0.1", "plain.test");
    const insecure = await openPage(browser, `${plain}/pages/probe.html`);
    assert.equal(await insecure.evaluate(() => window.probe.kindOfShelf()), "MemoryShelf");
    const asked = { url: plain + PATH, file };
    assert.deepEqual(await insecure.evaluate((all) => window.probe.download(all), asked), { loaded: content.length });
    assert.equal(await stored(insecure), file.sha256);
    await insecure.close();
  });
});

function hash(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
