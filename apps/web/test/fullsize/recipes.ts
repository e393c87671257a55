/**
 * Bundles of the demo by recipe in Chromium, beside what Python drew (scripts/reference_tokens.py):
 *
 *     npx tsc -p tsconfig.test.json && node build/test/fullsize/recipes.js FILE.json BUNDLE... [--on wasm:1,wasm:2]
 */
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { parseArgs } from "node:util";
import { launch, openPage } from "../browser/support/chromium.js";
import { BUILD, ONNXRUNTIME, PAGES } from "../browser/support/paths.js";
import { TestServer } from "../browser/support/server.js";

interface Reference {
  readonly prompt: string;
  readonly tokens: readonly number[];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { on: { type: "string", default: "wasm:1,wasm:2" } },
});
const [file = "", ...bundles] = positionals;
const references: Record<string, Reference[]> = JSON.parse(await readFile(file, "utf8"));

say("| bundle | on | threads | pictures with Python's tokens | equal tokens, % | logit error | a picture, s |");
say("|---|---|---|---|---|---|---|");
for (const bundle of bundles) {
  for (const on of values.on.split(",")) {
    say(`| ${basename(bundle)} | ${on.replace(":", " | ")} | ${await measure(resolve(bundle), on)} |`);
  }
}

async function measure(bundle: string, on: string): Promise<string> {
  const [provider, threads] = on.split(":");
  const server = await new TestServer({ build: BUILD, pages: PAGES, ort: ONNXRUNTIME, bundle }).start();
  const browser = await launch();
  try {
    const page = await openPage(await browser.newContext(), `${server.url}/pages/probe.html`);
    const asked = { provider: provider as "wasm", threads: Number(threads), keepGraphs: true, checkGolden: false };
    const opened = await page.evaluate((all) => window.probe.open("/bundle", all), asked);
    if (opened.message) return opened.message;
    const report = await page.evaluate(() => window.probe.checkGolden());
    const pictures = references[basename(bundle)] ?? [];
    const times: number[] = [];
    let same = 0;
    let whole = 0;
    for (const [seed, { prompt, tokens }] of pictures.entries()) {
      const drawn = await page.evaluate(([text, of]) => window.probe.draw(text, of), [prompt, seed] as const);
      const equal = tokens.filter((token, i) => token === drawn.tokens?.[i]).length;
      same += equal / tokens.length / pictures.length;
      whole += Number(equal === tokens.length);
      times.push(drawn.ms / 1000);
    }
    const median = times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
    const error = report?.logitError.toExponential(1);
    return `${whole} of ${pictures.length} | ${(100 * same).toFixed(1)} | ${error} | ${median.toFixed(2)}`;
  } finally {
    await browser.close();
    await server.stop();
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
