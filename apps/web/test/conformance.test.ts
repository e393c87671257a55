import assert from "node:assert/strict";
import { test } from "node:test";
import type { Engine } from "./support/drawn.js";
import { reportOf } from "./support/report.js";
import { setNames } from "./support/vectors.js";

for (const name of setNames()) {
  const engines: Engine[] = name.startsWith("pictures-") ? ["node", "wasm"] : ["node"];
  for (const engine of engines) {
    test(`conformance: ${name}${engine === "wasm" ? " on WebAssembly" : ""}`, async (context) => {
      const { status, passed, cases, reason } = await reportOf(name, engine);
      if (status === "SKIP") {
        assert.match(reason, /make recipes/); // nothing else is left out
        context.skip(reason);
        return;
      }
      assert.equal(`${status} ${passed}/${cases} ${reason}`, `PASS ${cases}/${cases} `);
    });
  }
}
