/** Part of npm run build: write src/sampling/philox-module.ts, which holds philox.wat as WebAssembly. */

import { readFileSync, writeFileSync } from "node:fs";
import wabt from "wabt";

const folder = new URL("../src/sampling/", import.meta.url);
const { parseWat } = await wabt();
const { buffer } = parseWat("philox.wat", readFileSync(new URL("philox.wat", folder), "utf8")).toBinary({});
const text = Buffer.from(buffer).toString("base64");
writeFileSync(
  new URL("philox-module.ts", folder),
  `/** Made of philox.wat by scripts/philox-module.mjs. */

export const PHILOX_MODULE =
  "${text}";
`,
);
