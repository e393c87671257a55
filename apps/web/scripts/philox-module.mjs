/** Part of npm run build: write src/sampling/philox-module.ts, which holds philox.wat as WebAssembly. */

import { readFileSync, writeFileSync } from "node:fs";
import wabt from "wabt";

const source = new URL("../src/sampling/philox.wat", import.meta.url);
const target = new URL("../src/sampling/philox-module.ts", import.meta.url);
const { parseWat } = await wabt();
const { buffer } = parseWat("philox.wat", readFileSync(source, "utf8")).toBinary({});
const text = `/** Made of philox.wat by scripts/philox-module.mjs. */

export const PHILOX_MODULE =
  "${Buffer.from(buffer).toString("base64")}";
`;
if (readFileSync(target, "utf8") !== text) {
  writeFileSync(target, text);
}
