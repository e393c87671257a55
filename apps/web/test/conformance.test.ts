import assert from "node:assert/strict";
import { test } from "node:test";
import { ANSWERS } from "./support/answers.js";
import { differences, readSet, setNames } from "./support/vectors.js";

for (const name of setNames()) {
  test(`conformance: ${name}`, async (context) => {
    const answer = ANSWERS[name];
    if (!answer) {
      context.skip("no answer yet");
      return;
    }
    const set = readSet(name);
    for (const place of set.cases.keys()) {
      const found = await differences(set, place, answer);
      assert.deepEqual(found.slice(0, 3), [], `case ${place}: ${JSON.stringify(set.cases[place].given).slice(0, 300)}`);
    }
  });
}
