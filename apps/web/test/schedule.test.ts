import assert from "node:assert/strict";
import { test } from "node:test";
import { temperatureAt } from "../src/sampling/schedule.js";

test("the temperature ends where it shall, also where a sum of its steps does not", () => {
  for (const [first, last] of [
    [1e6, 0],
    [2, 0],
    [0.3, 1e6],
  ] as const) {
    for (const steps of [2, 12, 50, 7777, 10_000]) {
      assert.equal(temperatureAt([first, last], 0, steps), Math.fround(first));
      assert.equal(temperatureAt([first, last], steps - 1, steps), Math.fround(last));
    }
  }
  assert.notEqual(7776 * (-1e6 / 7776) + 1e6, 0, "this sum does not");
});
