/** Parts of the studio that need no browser. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deflateSync } from "node:zlib";
import { readPng } from "../../src/node/png.js";
import { type Run, turnsLeft, turnsOf } from "../../studio/src/benchmark/plan.js";
import { ratio, summary } from "../../studio/src/benchmark/summary.js";
import { events } from "../../studio/src/compute/events.js";
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
});
