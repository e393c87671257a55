/**
 * Bundles of the demo by recipe in Chromium and Node, beside what Python drew (scripts/reference_tokens.py):
 *
 *     npx tsc -p tsconfig.test.json && node build/test/fullsize/recipes.js FILE.json BUNDLE... \
 *         [--on node:2,wasm:1,wasm:2,webgpu] [--pictures 4]
 *
 * Seconds are the median of single pictures, all graphs being in memory and a short one drawn before.
 */
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openFolder } from "../../src/node/index.js";
import { launch, openPage } from "../browser/support/chromium.js";
import { BUILD, ONNXRUNTIME, PAGES } from "../browser/support/paths.js";
import { TestServer } from "../browser/support/server.js";

interface Reference {
  readonly prompt: string;
  readonly tokens: readonly number[];
  readonly seconds: number;
}

interface Drawn {
  readonly tokens: ArrayLike<number>;
  readonly seconds: number;
}

interface Found {
  readonly logitError: number;
  readonly drawn: readonly Drawn[];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    on: { type: "string", default: "node:2,wasm:1,wasm:2" },
    pictures: { type: "string", default: "4" },
  },
});
const [file = "", ...bundles] = positionals;
const references: Record<string, Reference[]> = JSON.parse(await readFile(file, "utf8"));

say(
  "| bundle | on | threads | pictures with Python's tokens | equal tokens, % | logit error | a picture, s | Python's, s |",
);
say("|---|---|---|---|---|---|---|---|");
for (const bundle of bundles) {
  const pictures = (references[basename(bundle)] ?? []).slice(0, Number(values.pictures));
  for (const on of values.on.split(",")) {
    const [kind = "", threads = "1"] = on.split(":");
    const measure = kind === "node" ? inNode : inChromium;
    const row = await measure(resolve(bundle), kind, Number(threads), pictures).then(
      (found) => rowOf(found, pictures),
      (error) => error.message,
    );
    say(`| ${basename(bundle)} | ${kind} | ${threads} | ${row} |`);
  }
}

function rowOf({ logitError, drawn }: Found, pictures: readonly Reference[]): string {
  const equal = drawn.map(({ tokens }, i) => {
    const expected = pictures[i]?.tokens ?? [];
    return expected.filter((token, place) => token === tokens[place]).length / expected.length;
  });
  const whole = equal.filter((share) => share === 1).length;
  const share = (100 * equal.reduce((sum, one) => sum + one, 0)) / equal.length;
  const [ours, pythons] = [drawn, pictures].map((all) => median(all.map(({ seconds }) => seconds)).toFixed(2));
  return `${whole} of ${pictures.length} | ${share.toFixed(1)} | ${logitError.toExponential(1)} | ${ours} | ${pythons}`;
}

async function inNode(bundle: string, _: string, threads: number, pictures: readonly Reference[]): Promise<Found> {
  const pipeline = await openFolder(bundle, { threads });
  try {
    const { logitError } = await pipeline.checkGolden();
    const drawn: Drawn[] = [];
    for (const [seed, { prompt }] of pictures.entries()) {
      const start = performance.now();
      const [picture] = await pipeline.generate(prompt, { seed });
      drawn.push({ tokens: picture.tokens, seconds: (performance.now() - start) / 1000 });
    }
    return { logitError, drawn };
  } finally {
    await pipeline.close();
  }
}

async function inChromium(
  bundle: string,
  provider: string,
  threads: number,
  pictures: readonly Reference[],
): Promise<Found> {
  const server = await new TestServer({ build: BUILD, pages: PAGES, ort: ONNXRUNTIME, bundle }).start();
  const browser = await launch();
  try {
    const page = await openPage(await browser.newContext(), `${server.url}/pages/probe.html`);
    const asked = { provider: provider as "wasm", threads, keepGraphs: true, checkGolden: false };
    const opened = await page.evaluate((all) => window.probe.open("/bundle", all), asked);
    if (opened.message) throw new Error(opened.message);
    const report = await page.evaluate(() => window.probe.checkGolden());
    const drawn: Drawn[] = [];
    for (const [seed, { prompt }] of pictures.entries()) {
      const { tokens, ms, message } = await page.evaluate(([text, of]) => window.probe.draw(text, of), [
        prompt,
        seed,
      ] as const);
      if (message) throw new Error(message);
      drawn.push({ tokens: tokens ?? [], seconds: ms / 1000 });
    }
    return { logitError: report?.logitError ?? Number.NaN, drawn };
  } finally {
    await browser.close();
    await server.stop();
  }
}

function median(all: readonly number[]): number {
  return [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
