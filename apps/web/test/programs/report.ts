/** npm run conformance: the port's report on the vectors, one line per set; with --json as JSON; with --wasm on WebAssembly. */

import { readFileSync } from "node:fs";
import { arch, argv, exit, platform, stdout, version } from "node:process";
import * as node from "onnxruntime-node";
import * as web from "onnxruntime-web";
import { PACKAGE } from "../support/paths.js";
import { lineOf, reportOf, type SetReport } from "../support/report.js";
import { setNames } from "../support/vectors.js";

const engine = argv.includes("--wasm") ? "wasm" : "node";
const wanted = argv.slice(2).filter((name) => !name.startsWith("--"));
const sets: SetReport[] = [];
for (const name of wanted.length ? wanted : setNames()) {
  sets.push(await reportOf(name, engine));
  if (!argv.includes("--json")) {
    stdout.write(`${lineOf(sets[sets.length - 1])}\n`);
  }
}
const count = (status: string): number => sets.filter((set) => set.status === status).length;
if (argv.includes("--json")) {
  const { version: own } = JSON.parse(readFileSync(`${PACKAGE}package.json`, "utf8"));
  const runtime = {
    name: `amused-edge ${own} (TypeScript)`,
    engine:
      engine === "wasm"
        ? `onnxruntime-web ${web.env.versions.web}, WebAssembly`
        : `onnxruntime-node ${node.env.versions.node}`,
    system: `Node ${version}, ${platform} ${arch}`,
  };
  stdout.write(`${JSON.stringify({ format: "amused-edge conformance report", version: 1, runtime, sets }, null, 1)}\n`);
} else {
  stdout.write(`${sets.length} sets: ${count("PASS")} PASS, ${count("FAIL")} FAIL, ${count("SKIP")} SKIP\n`);
}
exit(Number(count("FAIL") > 0));
