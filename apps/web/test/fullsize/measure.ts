/**
 * What single graphs of large bundles take in Chromium: seconds a call, WebAssembly's memory, all memory at its peak.
 *
 *     npx tsc -p tsconfig.test.json && node build/test/fullsize/measure.js BUNDLE... [--roles denoiser,image_decoder] \
 *         [--on wasm:1,wasm:2,webgpu] [--calls 3]
 *
 * Each row has a browser of its own, which alone takes some hundred MB, with a profile on the disk: what a private window
 * keeps is held in memory, and of a float32 denoiser it has no room for.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { readManifest } from "../../src/bundle/manifest.js";
import { memoryNeeds } from "../../src/web/fit.js";
import { executable, FLAGS, openPage, skip } from "../browser/support/chromium.js";
import { BUILD, ONNXRUNTIME, PAGES } from "../browser/support/paths.js";
import { TestServer } from "../browser/support/server.js";
import type { Asked, Told } from "./calls.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    roles: { type: "string", default: "denoiser,image_decoder" },
    on: { type: "string", default: "wasm:1,wasm:2" },
    calls: { type: "string", default: "3" },
  },
});
if (!executable) throw new Error(String(skip));

say(
  "| bundle | role | on | threads | weights, MB | load, s | a call, s | WASM after load, MB | WASM after calls, MB | all processes at peak, MB | error against the first |",
);
say("|---|---|---|---|---|---|---|---|---|---|---|");
for (const bundle of positionals) {
  for (const role of values.roles.split(",")) {
    let first: readonly number[] | undefined;
    for (const on of values.on.split(",")) {
      const [provider, threads = "1"] = on.split(":");
      const asked = { role, provider, threads: Number(threads), calls: Number(values.calls) };
      const { told, peak } = await inFreshBrowser(resolve(bundle), asked as Omit<Asked, "url" | "ort">);
      const name = `| ${basename(bundle)} | ${role} | ${provider} | ${threads} `;
      first ??= told.sample;
      say(told.error ? `${name}| ${told.error} |` : `${name}${row(told, peak)} ${error(told.sample, first ?? [])} |`);
    }
  }
  const manifest = readManifest(await readFile(resolve(bundle, "manifest.json"), "utf8"));
  for (const keepGraphs of [false, true]) {
    const { engine, peak } = memoryNeeds(manifest, keepGraphs);
    const whole = (bytes: number): string => (bytes / 1e6).toFixed(0);
    process.stderr.write(
      `${basename(bundle)}, keepGraphs ${keepGraphs}: foretold WASM ${whole(engine)}, all ${whole(peak)} MB\n`,
    );
  }
}

async function inFreshBrowser(
  bundle: string,
  asked: Omit<Asked, "url" | "ort">,
): Promise<{ told: Told; peak: number }> {
  const server = await new TestServer({ build: BUILD, pages: PAGES, ort: ONNXRUNTIME, bundle }).start();
  const profile = await mkdtemp(join(tmpdir(), "chromium-"));
  const launched = { executablePath: executable as string, args: [...FLAGS] };
  const browser = await chromium.launchPersistentContext(profile, launched);
  try {
    const page = await openPage(browser, `${server.url}/pages/probe.html`);
    const all: Asked = { ...asked, url: `${server.url}/bundle/`, ort: `${server.url}/ort/` };
    const told = await page.evaluate(
      (sent) =>
        new Promise<Told>((done) => {
          const worker = new Worker("/build/test/fullsize/calls.js", { type: "module" });
          worker.onmessage = ({ data }) => done(data);
          worker.onerror = ({ message }) => done({ error: message } as Told);
          worker.postMessage(sent);
        }),
      all,
    );
    return { told, peak: await peakBelow(process.pid) };
  } finally {
    await browser.close();
    await rm(profile, { recursive: true });
    await server.stop();
  }
}

function row({ weights, load, calls, memoryLoaded, memoryCalled }: Told, peak: number): string {
  const [low = 0, high = 0] = [Math.min(...calls), Math.max(...calls)];
  const median = [...calls].sort((a, b) => a - b)[Math.floor(calls.length / 2)] ?? 0;
  const seconds = `${median.toFixed(2)} (${low.toFixed(2)}-${high.toFixed(2)})`;
  const sizes = [memoryLoaded, memoryCalled, peak].map((one) => one.toFixed(0)).join(" | ");
  return `| ${weights.toFixed(0)} | ${load.toFixed(1)} | ${seconds} | ${sizes} |`;
}

/** Largest difference relative to the largest value. */
function error(found: readonly number[], expected: readonly number[]): string {
  const most = (values: readonly number[]): number => values.reduce((high, one) => Math.max(high, Math.abs(one)), 0);
  return (most(expected.map((one, i) => one - (found[i] ?? Number.NaN))) / most(expected)).toExponential(1);
}

/** Sum of what all processes below one held at their peaks, in MB; where /proc tells it. */
async function peakBelow(root: number): Promise<number> {
  const parents = new Map<number, number>();
  const peaks = new Map<number, number>();
  for (const name of await readdir("/proc").catch(() => [])) {
    const status = /^\d+$/.test(name) ? await readFile(`/proc/${name}/status`, "utf8").catch(() => "") : "";
    const number = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    parents.set(Number(name), number("PPid"));
    peaks.set(Number(name), number("VmHWM") * 1.024e-3);
  }
  const below = (id: number | undefined): boolean => id === root || (!!id && below(parents.get(id)));
  return [...peaks].filter(([id]) => id !== root && below(id)).reduce((sum, [, peak]) => sum + peak, 0);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
