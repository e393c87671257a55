/** What cannot be drawn is refused with the reason, and mostly before anything large is fetched. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import type { OpenAsked } from "./pages/probe.js";
import { launch, openPage, skip } from "./support/chromium.js";
import { BUILD, ONNXRUNTIME, PAGES, TINY_BUNDLE } from "./support/paths.js";
import { TestServer } from "./support/server.js";
import { type PlainManifest, Variants } from "./support/variants.js";

const WEIGHTS = /\.data$/;

describe("refusals", { skip }, () => {
  let variants: Variants;
  let server: TestServer;
  let browser: Browser;
  let page: Page;

  before(async () => {
    variants = await Variants.make();
    const folders = { build: BUILD, pages: PAGES, ort: ONNXRUNTIME, bundle: TINY_BUNDLE, variants: variants.folder };
    server = await new TestServer(folders).start();
    browser = await launch();
    page = await openPage(await browser.newContext(), `${server.url}/pages/probe.html`);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    await variants?.remove();
  });

  beforeEach(async () => {
    server.reset();
    await page.evaluate(() => window.probe.clear());
  });

  const open = (url: string, asked: OpenAsked = {}, on = page) =>
    on.evaluate(([at, all]) => window.probe.open(at, all), [url, asked] as const);

  /** Open a variant, which must be refused before weights are fetched. */
  async function refused(edit: (manifest: PlainManifest) => void, asked: OpenAsked, said: RegExp): Promise<void> {
    const { name, message } = await open(`/variants/${await variants.add(edit)}`, asked);
    assert.equal(name, "ProviderError", message);
    assert.match(message ?? "", said);
    assert.deepEqual(
      server.answers.filter((one) => WEIGHTS.test(one.path)),
      [],
    );
  }

  test("bundles for CPUs on WebGPU", async () => {
    const edit = (manifest: PlainManifest): void => {
      manifest.engine.optimize = "cpu";
    };
    await refused(
      edit,
      { provider: "webgpu" },
      /optimize cpu, whose operators webgpu computes wrongly; use the provider wasm/,
    );
  });

  test("products in 8 bits on WebGPU", async () => {
    const edit = (manifest: PlainManifest): void => {
      const tensor = { bits: 8, block: null, activations: "uint8", operator: "MatMul", error: 0, codes: "scaled" };
      manifest.graphs.denoiser.tensors = { "some.weight": tensor };
    };
    await refused(edit, { provider: "webgpu" }, /multiplies in 8 bits \(recipe w8a8\)/);
  });

  test("bundles that do not fit into memory", async () => {
    const edit = (manifest: PlainManifest): void => {
      manifest.graphs.denoiser.files[1].bytes = 4e9;
    };
    await refused(edit, {}, /memory/);
    await refused(() => undefined, { memoryLimit: 2e7 }, /memory/);
  });

  test("a device that computes something else, each time", async () => {
    const golden = JSON.parse(await readFile(join(TINY_BUNDLE, "golden.json"), "utf8"));
    golden.logits[0] += 1;
    const text = JSON.stringify(golden);
    const edit = (manifest: PlainManifest): void => {
      const sha256 = createHash("sha256").update(text).digest("hex");
      manifest.files["golden.json"] = { path: "golden.json", bytes: text.length, sha256 };
    };
    const name = await variants.add(edit, { "golden.json": text });
    const ending = await open(`/variants/${name}`, { keepGraphs: true });
    assert.equal(ending.name, "ProviderError");
    assert.match(ending.message ?? "", /computes the bundle wrongly \(wasm .*logits differ by/);
    const keys = await page.evaluate(() => window.probe.keys());
    assert.deepEqual(
      keys.filter((key) => key.startsWith("golden/")),
      [],
    );
  });

  test("a damaged download", async () => {
    server.fail("/bundle/denoiser.onnx.data", { kind: "flip", at: 1e5 });
    const ending = await open("/bundle");
    assert.equal(ending.name, "BundleError");
    assert.match(ending.message ?? "", /denoiser\.onnx\.data is damaged/);
  });

  test("no bundle, no onnxruntime-web, no address for it, an unknown provider", async () => {
    for (const [url, asked, name, said] of [
      ["/pages", {}, "DownloadError", /answered 404.*is there a bundle/],
      ["http://[::1/bundle", {}, "OptionsError", /url is .*, which is no address/],
      ["/bundle", { ort: "http://[::1/ort" }, "OptionsError", /ort is .*, which is no address/],
      ["/bundle", { ort: "/pages" }, "ProviderError", /onnxruntime-web cannot be loaded from/],
      ["/bundle", { provider: "webgl" as "wasm" }, "OptionsError", /choose one of: wasm, webgpu/],
      ["/bundle", { threads: 0 }, "OptionsError", /threads is 0/],
    ] as const) {
      const ending = await open(url, asked);
      assert.equal(ending.name, name, ending.message);
      assert.match(ending.message ?? "", said);
    }
  });

  test("WebGPU where there is none", async () => {
    const plain = await launch(["--no-sandbox", "--disable-gpu", "--disable-software-rasterizer"]);
    const without = await openPage(await plain.newContext(), `${server.url}/pages/probe.html`);
    const ending = await open("/bundle", { provider: "webgpu" }, without);
    await plain.close();
    assert.equal(ending.name, "ProviderError");
    assert.match(ending.message ?? "", /WebGPU is not to be had here \(.*\); choose the provider "wasm"/);
  });
});
