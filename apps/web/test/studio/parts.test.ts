/** Parts of the studio that need no browser. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deflateSync } from "node:zlib";
import { OptionsError } from "../../src/errors.js";
import { readPng } from "../../src/node/png.js";
import { textToImage } from "../../src/tasks/kinds.js";
import { type Run, turnsLeft, turnsOf } from "../../studio/src/benchmark/plan.js";
import { courseOf } from "../../studio/src/benchmark/results.js";
import { ratio, summary } from "../../studio/src/benchmark/summary.js";
import type { BundleInfo } from "../../studio/src/compute/bundles.js";
import type { Drawn } from "../../studio/src/compute/draw.js";
import { events } from "../../studio/src/compute/events.js";
import { previewsOf, ServerDrawer } from "../../studio/src/compute/server-drawer.js";
import { type Size, shifted, smallestMargins, withMargin } from "../../studio/src/editor/margins.js";
import type { Margins } from "../../studio/src/options/task.js";
import { encodePng, parametersIn } from "../../studio/src/pictures/png.js";

/** As the runtime asks: proportions that fit up to a pixel. */
function fits(picture: Size, wanted: Size, { left, top, right, bottom }: Margins): boolean {
  const [width, height] = [picture.width + left + right, picture.height + top + bottom];
  const sides = [left, top, right, bottom].every((side) => Number.isInteger(side) && side >= 0);
  return sides && Math.abs(width * wanted.height - height * wanted.width) < Math.max(width, height);
}

describe("margins", () => {
  const pictures = [
    [64, 64],
    [100, 40],
    [37, 911],
    [1, 5],
  ].map(([width, height]) => ({ width, height }));
  const frames = [
    [64, 64],
    [12, 8],
    [9, 16],
  ].map(([width, height]) => ({ width, height }));

  test("picture and margins have the bundle's proportions, whatever is dragged", () => {
    for (const picture of pictures) {
      for (const wanted of frames) {
        let margins = smallestMargins(picture, wanted);
        assert.ok(fits(picture, wanted, margins), JSON.stringify([picture, wanted, margins]));
        for (const [side, pixels] of [
          ["left", 17],
          ["top", 400],
          ["right", 3],
          ["bottom", 0],
          ["left", -9],
          ["right", 1e9],
        ] as const) {
          margins = withMargin(picture, wanted, margins, side, pixels);
          assert.ok(fits(picture, wanted, margins), JSON.stringify([picture, wanted, side, pixels, margins]));
          const moved = shifted(margins, 1e6, -1e6);
          assert.deepEqual([moved.right, moved.top], [0, 0]);
          assert.ok(fits(picture, wanted, moved));
        }
      }
    }
  });

  test("a dragged edge goes where it is dragged, and the other side stays", () => {
    const square = { width: 64, height: 64 };
    assert.deepEqual(withMargin(square, square, { left: 8, right: 8, top: 8, bottom: 8 }, "right", 24), {
      left: 8,
      right: 24,
      top: 16,
      bottom: 16,
    });
  });
});

describe("files", () => {
  const image = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => 14 * i) };
  const said = '{"prompt": "Füchslein \u{1f98a}"}';

  test("a file holds its pixels and the parameters", async () => {
    const png = encodePng(image, said);
    assert.deepEqual([...readPng(encodePng(image)).image.data], [...image.data]);
    assert.deepEqual(JSON.parse((await parametersIn(png)) ?? ""), JSON.parse(said));
    assert.equal(await parametersIn(encodePng(image)), undefined);
    assert.equal(await parametersIn(Uint8Array.from([1, 2, 3])), undefined);
  });

  test("parameters that Python wrote are read, compressed and not", async () => {
    for (const compressed of [0, 1]) {
      const text = compressed ? deflateSync(Buffer.from(said)) : Buffer.from(said);
      const content = Buffer.concat([Buffer.from(`amused-edge\0${String.fromCharCode(compressed, 0)}\0\0`), text]);
      const head = Buffer.alloc(8);
      head.writeUInt32BE(content.length);
      head.write("iTXt", 4);
      const png = encodePng(image);
      const with2 = new Uint8Array(
        Buffer.concat([png.subarray(0, 8), head, content, Buffer.alloc(4), png.subarray(8)]),
      );
      assert.equal(await parametersIn(with2), said);
    }
  });
});

test("server-sent events are read whatever the pieces are that they come in", async () => {
  const text = ': hello\r\n\r\nevent: step\r\ndata: {"step": 1}\r\n\r\nevent: done\ndata: {}\n\n';
  for (const size of [1, 7, 1000]) {
    const pieces = new TextEncoder().encode(text);
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        for (let at = 0; at < pieces.length; at += size) controller.enqueue(pieces.slice(at, at + size));
        controller.close();
      },
    });
    const found = [];
    for await (const event of events(stream)) found.push(event);
    assert.deepEqual(found, [
      { name: "step", data: { step: 1 } },
      { name: "done", data: {} },
    ]);
  }
});

describe("drawing on a server", () => {
  const bundle = { id: "one" } as BundleInfo;
  const engine = { provider: "wasm", threads: undefined, lowMemory: undefined, previewEvery: 3 } as const;
  const watch = { onStatus: () => {}, onPreview: () => {}, onWarning: () => {} };
  let asked = "";

  /** Draw with a server that answers so, and what little of a browser that takes. */
  async function drawn(answer: Response, seed = 0n): Promise<Drawn> {
    const canvas = {
      setAttribute() {},
      append() {},
      getContext: () => ({ fillRect() {}, drawImage() {}, getImageData() {} }),
    };
    const browser = {
      document: { baseURI: "http://localhost/", createElement: () => canvas },
      createImageBitmap: async () => ({ width: 1, height: 1, close() {} }),
      fetch: async (_: URL, { body }: { body: string }) => {
        asked = body;
        return answer;
      },
    };
    const before = { document: undefined, createImageBitmap: undefined, fetch };
    try {
      Object.assign(globalThis, browser);
      const task = textToImage("a fox");
      return await new ServerDrawer().draw(
        bundle,
        task,
        { seed, steps: 12 },
        engine,
        watch,
        new AbortController().signal,
      );
    } finally {
      Object.assign(globalThis, before);
    }
  }

  test("the parameters are the file's, with all digits of the seed", async () => {
    const seed = 2n ** 64n - 1n;
    const text = `{"seed": ${seed}}`;
    const png = Buffer.from(encodePng({ width: 1, height: 1, data: new Uint8Array(3) }, text)).toString("base64");
    const stream = `event: picture\ndata: {"png": "${png}", "parameters": ${text}}\n\n`;
    const { parameters } = await drawn(new Response(stream), seed);
    assert.equal(parameters, text);
    assert.match(asked, new RegExp(`"seed": ?${seed}\\b`));
    assert.match(asked, /"previews": ?3\b/);
  });

  test("previews are as many as the page makes by itself", () => {
    const found = [previewsOf(12, 1), previewsOf(12, 3), previewsOf(13, 3), previewsOf(2, 3), previewsOf(12, 0)];
    assert.deepEqual(found, [11, 3, 4, 0, 0]);
  });

  test("a request that is refused tells the server's reason, as an error of its kind", async () => {
    const message = "steps is 0; it must be 1 or more";
    const error = { message, type: "invalid_request_error", param: null, code: "OptionsError" };
    await assert.rejects(drawn(Response.json({ error }, { status: 400 })), (found: Error) => {
      return found instanceof OptionsError && found.message === message;
    });
    await assert.rejects(drawn(new Response("", { status: 502 })), /the server answered 502/);
  });
});

describe("the benchmark's figures", () => {
  test("percentiles are NumPy's", () => {
    const found = summary([3, 1, 4, 1, 5, 9, 2, 6]);
    // np.percentile([3, 1, 4, 1, 5, 9, 2, 6], [10, 50, 90])
    assert.deepEqual(
      [found.p10, found.median, found.p90].map((value) => value.toFixed(12)),
      ["1.000000000000", "3.500000000000", "6.900000000000"],
    );
    assert.deepEqual([found.count, found.least, found.most], [8, 1, 9]);
    assert.deepEqual(summary([2]), { median: 2, p10: 2, p90: 2, count: 1, least: 2, most: 2 });
  });

  test("a ratio is that of the rounds that both have", () => {
    const own = new Map([
      [0, [2, 4]],
      [1, [6]],
      [3, [1]],
    ]);
    const base = new Map([
      [0, [1]],
      [1, [2]],
      [2, [7]],
    ]);
    assert.deepEqual(ratio(own, base), { estimate: 3, low: 3, high: 3, rounds: 2 });
    assert.equal(ratio(own, new Map()), null);
  });

  test("turns go round, and those that are done or of a kind that failed are left out", () => {
    const subjects = ["a", "b", "c"].map((label) => ({ id: label, label }));
    const plan = { subjects, rounds: 2, threads: [null] } as unknown as Run["plan"];
    const name = (all: ReturnType<typeof turnsOf>): string =>
      all.map(({ round, subject, threads }) => `${round}${subject.label}${threads ?? ""}`).join(" ");
    assert.equal(name(turnsOf(plan)), "0a 0b 0c 1b 1c 1a");
    const turns = [
      { round: 0, label: "a", threads: null },
      { round: 0, label: "b", threads: null, error: "no" },
    ];
    assert.equal(name(turnsLeft({ plan, turns } as unknown as Run)), "0c 1c 1a");
    const threaded = { ...plan, subjects: subjects.slice(0, 1), threads: [1, 4] };
    const failed = [{ round: 0, label: "a", threads: 4, error: "no" }];
    assert.equal(name(turnsOf(threaded)), "0a1 0a4 1a1 1a4");
    assert.equal(name(turnsLeft({ plan: threaded, turns: failed } as unknown as Run)), "0a1 1a1");
  });

  test("a bundle whose check fails is measured with no number of threads", async () => {
    const plan = { subjects: [{ id: "gone", label: "gone" }], rounds: 2, threads: [1, 4] };
    const run = { plan, facts: [], quality: [], turns: [], notes: [] } as unknown as Run;
    if (!("navigator" in globalThis)) Object.assign(globalThis, { navigator: {} }); // Node 20 has none
    const { measure } = await import("../../studio/src/benchmark/measure.js");
    let attempts = 0;
    const kept = (): void => void attempts++;
    await measure({ run, bundles: [], tell: () => {}, kept, signal: new AbortController().signal });
    assert.equal(attempts, 1); // the check
    const error = "the server does not offer gone any more";
    assert.deepEqual(
      run.turns,
      [1, 4].map((threads) => ({ round: 0, label: "gone", threads, error })),
    );
  });

  test("the course has the pictures of the first settings and threads, in order", () => {
    const turn = (threads: number, begin: number): Run["turns"][number] => ({
      round: 0,
      label: "a",
      threads,
      pictures: [0, 1].map((setting) => ({ at: begin + setting, seconds: 9 - threads, thermal: "", setting })),
    });
    const run = { plan: { threads: [2, 1] }, turns: [turn(2, 8), turn(1, 4), turn(2, 0)] } as unknown as Run;
    const found = courseOf(run).map(({ at, seconds }) => [at, seconds]);
    assert.deepEqual(found, [
      [0, 7],
      [8, 7],
    ]);
  });
});

describe("the history", () => {
  test("a picture for which the browser has no room is refused, and half of the others are gone first", async () => {
    const kept = Array.from({ length: 80 }, (_, place) => ({ id: place + 1, png: new Uint8Array(1) }));
    const request = (end: { result?: unknown; error?: Error }): object => {
      const made = { ...end } as { onsuccess?: () => void; onerror?: () => void };
      setTimeout(() => (end.error ? made.onerror : made.onsuccess)?.());
      return made;
    };
    const full = new DOMException("full", "QuotaExceededError");
    const store = {
      add: () => request({ error: full }),
      getAll: () => request({ result: [...kept] }),
      delete: (id: number) =>
        request({
          result: kept.splice(
            kept.findIndex((one) => one.id === id),
            1,
          ),
        }),
    };
    const result = { transaction: () => ({ objectStore: () => store }) };
    Reflect.deleteProperty(globalThis, "BroadcastChannel"); // an open one keeps Node alive
    Object.assign(globalThis, { indexedDB: { open: () => request({ result }) } });
    const { HistoryStore } = await import("../../studio/src/history/store.js");
    const history = new HistoryStore(() => {});
    const picture = { at: 0, bundle: "", prompt: "", parameters: "", png: new Uint8Array(9), seconds: 1 };
    await assert.rejects(history.add(picture), full);
    assert.equal(kept.length, 50);
    Reflect.deleteProperty(globalThis, "indexedDB");
  });
});
