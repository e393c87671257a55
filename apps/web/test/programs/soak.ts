/**
 * Many pictures at once, by callers of one pipeline and by pipelines that come and go, in this thread and in workers:
 *
 *     node --expose-gc soak.js [PICTURES] [SEED]
 *
 * Ends with 1 where a finished picture is not the one that is drawn alone, a graph is left, or memory grows.
 */
import { argv, exit, memoryUsage, stdout } from "node:process";
import { openFolder } from "../../src/node/index.js";
import { countingOrt, openDemo } from "../support/demo.js";
import { DEMO } from "../support/paths.js";
import { Soak } from "../support/soak.js";

/** Megabytes that memory may grow by after the first third: allocators keep what two pipelines once had. */
const ALLOWED = 96;

const [pictures = 1000, seed = 0] = argv.slice(2).map(Number);
const counting = countingOrt();
const here = await Soak.begin((keepGraphs) => openDemo({ ort: counting.ort, keepGraphs }), seed);
const there = await Soak.begin(() => openFolder(DEMO, { threads: 1 }), seed);
const wrong: string[] = [];
const begun = Date.now();
const each = Math.ceil(pictures / 3);
let before = 0;
for (let part = 0; part < 3; part++) {
  const first = part * each;
  const share = Math.ceil(each / 4);
  await here.callers(first, share, 8);
  await here.pipelines(first, Math.ceil(share / 4), 4);
  await there.callers(first, share, 8);
  await there.pipelines(first, Math.ceil(share / 4), 4);
  globalThis.gc?.();
  const megabytes = Math.round(memoryUsage().rss / 1e6);
  const said = `${megabytes} MB, ${counting.open()} graphs, ${Math.round((Date.now() - begun) / 1000)} s`;
  stdout.write(`${first + each} pictures: ${said}\n`);
  if (counting.open() > 0) {
    wrong.push(`${counting.open()} graphs are left`);
  }
  if (part === 0) {
    before = megabytes;
  } else if (megabytes > before + ALLOWED) {
    wrong.push(`${megabytes} MB, after the first third ${before}`);
  }
}
wrong.push(...here.wrong, ...there.wrong);
const came = JSON.stringify({ here: Object.fromEntries(here.came), workers: Object.fromEntries(there.came) });
stdout.write(`${came}\n${wrong.map((one) => `WRONG ${one}\n`).join("")}`);
exit(wrong.length ? 1 : 0);
