/**
 * Every call of the Cache API that opening or forgetting a bundle makes, failing in each way: nothing that a later visit
 * takes for whole is left but what is whole, the error is one of the library's own, and the next visit succeeds.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { allFiles, readManifest } from "../src/bundle/manifest.js";
import { AmusedEdgeError, StorageError } from "../src/errors.js";
import { fromUtf8 } from "../src/utf8.js";
import { StoredFiles } from "../src/web/files.js";
import { forgetBundle, keptBundles } from "../src/web/kept.js";
import { ServerSource } from "../src/web/server-source.js";
import { openShelf } from "../src/web/shelf.js";
import { PACKAGE } from "./support/paths.js";

const URL_OF_IT = "https://bundles.test/tiny/";
const TINY = `${PACKAGE}test/browser/tiny-bundle/`;
const PART = 8000;

/** No room for any more from there on; this call fails; the tab is gone from there on, before or after the call. */
const FAULTS = ["full", "fails", "gone before", "gone after"] as const;
type Fault = (typeof FAULTS)[number];

class Gone extends Error {}

/** What the browser keeps, and which call meets a fault. */
class FaultyCache {
  readonly kept = new Map<string, Uint8Array>();
  calls: string[] = [];
  at = -1;
  fault: Fault = "fails";

  match = (url: string): Promise<Response | undefined> =>
    this.#call("match", () => {
      const bytes = this.kept.get(url);
      return bytes && new Response(bytes as Uint8Array<ArrayBuffer>);
    });

  put = async (url: string, response: Response): Promise<void> => {
    const bytes = new Uint8Array(await response.arrayBuffer());
    return this.#call("put", () => void this.kept.set(url, bytes));
  };

  delete = (url: string): Promise<boolean> => this.#call("delete", () => this.kept.delete(url));

  keys = (): Promise<{ url: string }[]> => this.#call("keys", () => [...this.kept.keys()].map((url) => ({ url })));

  async #call<T>(name: string, work: () => T): Promise<T> {
    const number = this.calls.push(name) - 1;
    const [hit, later] = [number === this.at, this.at >= 0 && number > this.at];
    if (this.fault.startsWith("gone") && (later || (hit && this.fault === "gone before"))) {
      throw new Gone();
    }
    if (hit && this.fault === "gone after") {
      work();
      throw new Gone();
    }
    if (this.fault === "full" && name === "put" && (hit || later)) {
      throw new DOMException("Quota exceeded.", "QuotaExceededError");
    }
    if (hit && this.fault !== "full") {
      throw new DOMException("Unexpected internal error.", "UnknownError");
    }
    return work();
  }
}

let cache = new FaultyCache();
const before_ = new Map<string, PropertyDescriptor | undefined>();

before(() => {
  const globals = {
    caches: { open: async () => cache },
    document: { baseURI: URL_OF_IT },
    navigator: { locks: { request: (_: string, __: object, work: () => Promise<unknown>) => work() } },
    fetch: async (url: string, { headers }: { headers?: { Range?: string } } = {}) => {
      const bytes = readFileSync(TINY + url.slice(URL_OF_IT.length));
      const first = Number(/\d+/.exec(headers?.Range ?? "0"));
      return new Response(bytes.subarray(first), { status: first ? 206 : 200 });
    },
  };
  for (const [name, value] of Object.entries(globals)) {
    before_.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
});

after(() => {
  for (const [name, was] of before_) {
    was ? Object.defineProperty(globalThis, name, was) : Reflect.deleteProperty(globalThis, name);
  }
});

const MANIFEST = readManifest(readFileSync(`${TINY}manifest.json`, "utf8"));
const FILES = allFiles(MANIFEST)
  .sort((a, b) => a.bytes - b.bytes)
  .slice(0, 2);

/** As a page opens a bundle: its manifest, its files (some are enough here), and at last the manifest for visits without a network. */
async function open(): Promise<void> {
  const source = new ServerSource(URL_OF_IT, new StoredFiles(await openShelf(), PART));
  readManifest(fromUtf8(await source.read("manifest.json")) ?? "");
  await source.fetch(FILES);
  await source.keepManifest();
}

/** Check all files that count as whole, and return how many these are. */
async function whole(): Promise<number> {
  const stored = new StoredFiles(await openShelf(), PART);
  let count = 0;
  for (const file of FILES) {
    const bytes = await stored.read(file);
    if (bytes !== undefined) {
      assert.equal(createHash("sha256").update(bytes).digest("hex"), file.sha256);
      count++;
    }
  }
  return count;
}

/** Run a visit with every call failing in every way; `then` checks what is left, without faults. */
async function campaign(begin: () => Promise<void>, visit: () => Promise<void>, then: () => Promise<void>) {
  cache = new FaultyCache();
  await begin();
  cache.calls = [];
  await visit();
  const { length } = cache.calls;
  let [runs, failed] = [0, 0];
  for (let at = 0; at < length; at++) {
    for (const fault of FAULTS) {
      cache = new FaultyCache();
      await begin();
      Object.assign(cache, { calls: [], at, fault });
      const error = await visit().catch((thrown: unknown) => thrown ?? new Error("nothing was thrown"));
      const place = `call ${at} of ${length}, ${cache.calls[at]}, ${fault}`;
      failed += error === undefined ? 0 : 1;
      if (error !== undefined && !fault.startsWith("gone")) {
        assert.ok(error instanceof AmusedEdgeError, `${place}: ${error}`);
        assert.ok(error instanceof StorageError, `${place}: ${error}`);
      }
      cache.at = -1;
      await then();
      runs++;
    }
  }
  return `${length} calls, ${runs} runs, ${failed} visits ended with an error`;
}

test("opening a bundle", async (context) => {
  const told = await campaign(
    async () => undefined,
    open,
    async () => {
      await whole();
      await open();
      assert.equal(await whole(), FILES.length);
      assert.deepEqual(
        (await keptBundles()).map(({ url }) => url),
        [URL_OF_IT],
      );
      const parts = FILES.reduce((sum, file) => sum + Math.ceil(file.bytes / PART), 0);
      assert.equal(cache.kept.size, parts + FILES.length + 1);
    },
  );
  context.diagnostic(told);
});

test("forgetting a bundle", async (context) => {
  const told = await campaign(
    open,
    () => forgetBundle(URL_OF_IT),
    async () => {
      await whole();
      await forgetBundle(URL_OF_IT);
      assert.equal(cache.kept.size, 0);
    },
  );
  context.diagnostic(told);
});
