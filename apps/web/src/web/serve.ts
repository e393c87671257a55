/** The worker in which a bundle of a server is drawn: fetch it, check that it can be drawn here, draw. */

import { type Bundle, openBundle } from "../bundle/bundle.js";
import type { FileEntry } from "../bundle/graph-entry.js";
import { allFiles, type Manifest } from "../bundle/manifest.js";
import { choice, wholeNumber } from "../checks.js";
import type { Ort } from "../engines/ort.js";
import { OptionsError, ProviderError } from "../errors.js";
import { AmusedPipeline } from "../pipeline.js";
import type { Channel } from "../remote/protocol.js";
import { serve } from "../remote/serve.js";
import { StoredFiles } from "./files.js";
import { checkMemory } from "./fit.js";
import { demands } from "./graph-scan.js";
import { importOrt } from "./ort-module.js";
import { type Adapter, checkDemands, checkForWebGpu, PROVIDERS, type Provider, requestAdapter } from "./providers.js";
import { type Progress, ServerSource } from "./server-source.js";
import { openShelf } from "./shelf.js";

/** How a bundle is opened in a worker: what can be sent there. */
export interface WorkerOptions {
  /** The folder of onnxruntime-web's files (its `dist`). Workers that were made with `serveWith` need none. */
  ort?: string;
  /** What computes: "wasm", the CPU (the default), or "webgpu", the graphics card. */
  provider?: Provider;
  /** Of "wasm", where the page is isolated; left out, onnxruntime-web's own choice: half of the cores, up to 4. */
  threads?: number;
  /**
   * Keep every graph in memory once it is loaded: much faster from the second picture on. False by default: one graph
   * is in memory at a time, read anew from the browser's store for every picture.
   */
  keepGraphs?: boolean;
  /** As of `EngineOptions`. */
  rememberedPrompts?: number;
  /** Fetch the image encoder too, which only variations and in-painting need; else it comes with the first of these. */
  imageEncoder?: boolean;
  /** Draw the bundle's golden picture before its first use on this device, and refuse what comes out otherwise. */
  checkGolden?: boolean;
  /** Bytes that the bundle may take, see `memoryNeeds`; left out, what the browser says of the device, at most 4 GiB. */
  memoryLimit?: number;
}

const MOST_THREADS = 256;

type Tell = (name: string, ...values: unknown[]) => void;

/**
 * Draw in this worker whatever its page opens.
 *
 * @param ort onnxruntime-web, as a worker of yours imports it; left out, it is fetched from the folder `ort`
 */
export function serveWith(ort?: Ort): void {
  serve(pageChannel(), (options, tell, signal) => {
    const { url, ...given } = options as WorkerOptions & { url: string };
    return open(url, given, ort, tell, signal);
  });
}

async function open(
  url: string,
  options: WorkerOptions,
  given: Ort | undefined,
  tell: Tell,
  signal: AbortSignal,
): Promise<AmusedPipeline> {
  const provider = choice("provider", options.provider ?? "wasm", PROVIDERS);
  const threads = options.threads === undefined ? undefined : wholeNumber("threads", options.threads, 1, MOST_THREADS);
  const files = new StoredFiles(await openShelf());
  const progress = (now: Progress): void => tell("progress", now);
  const source = new ServerSource(url, files, progress);
  const bundle = await openBundle(source, signal);
  const adapter = provider === "webgpu" ? await requestAdapter() : undefined;
  await fetchBundle(bundle, source, adapter, options, signal);
  const ort = given ?? (await importOrt(options.ort, provider));
  setThreads(ort, threads, tell);
  const pipeline = await AmusedPipeline.open(source, {
    ort,
    executionProviders: [provider],
    keepGraphs: options.keepGraphs ?? false,
    ...(options.rememberedPrompts !== undefined && { rememberedPrompts: options.rememberedPrompts }),
    verify: false, // `fetch` hashed every file
    onWarning: (message) => tell("warning", message),
    signal,
  });
  if (options.checkGolden ?? true) {
    await checkGoldenOnce(pipeline, files, deviceName(provider, adapter, ort), progress, signal);
  }
  return pipeline;
}

/** Check what the manifest tells; fetch what drawing needs; check the graphs as soon as they are there. */
async function fetchBundle(
  { manifest }: Bundle,
  source: ServerSource,
  adapter: Adapter | undefined,
  options: WorkerOptions,
  signal: AbortSignal,
): Promise<void> {
  const { memoryLimit: limit } = options;
  checkMemory(manifest, options.keepGraphs ?? false, limit && wholeNumber("memoryLimit", limit, 1));
  if (adapter) {
    checkForWebGpu(manifest);
  }
  await source.keepManifest();
  const roles = new Map(Object.entries(manifest.graphs).map(([role, graph]) => [graph.files[0], role]));
  await source.fetch(wanted(manifest, options.imageEncoder ?? false), signal, async (file) => {
    const role = roles.get(file);
    if (adapter && role !== undefined) {
      checkDemands(role, demands(await source.read(file.path, { expected: file, signal }), file.path), adapter);
    }
  });
}

function setThreads(ort: Ort, threads: number | undefined, tell: Tell): void {
  if (threads === undefined) {
    return;
  }
  if (threads > 1 && !globalThis.crossOriginIsolated) {
    tell("warning", `one thread instead of ${threads}: the page is not isolated (COOP and COEP headers)`);
  }
  const { wasm } = ort.env as { wasm?: { numThreads?: number } };
  if (wasm) {
    wasm.numThreads = threads;
  }
}

/** Return the files that drawing needs, small ones and graphs first, since they may be refused. */
function wanted(manifest: Manifest, imageEncoder: boolean): FileEntry[] {
  const later = imageEncoder ? [] : manifest.graphs.image_encoder.files;
  const models = Object.values(manifest.graphs).map((graph) => graph.files[0]);
  const first = (file: FileEntry): number =>
    models.includes(file) ? 1 : Object.values(manifest.files).includes(file) ? 0 : 2;
  return allFiles(manifest)
    .filter((file) => !later.includes(file))
    .sort((a, b) => first(a) - first(b));
}

/** Draw the golden picture unless this device did so before; throws `ProviderError` if it comes out otherwise. */
async function checkGoldenOnce(
  pipeline: AmusedPipeline,
  files: StoredFiles,
  device: string,
  progress: (now: Progress) => void,
  signal: AbortSignal,
): Promise<void> {
  const key = `golden/${pipeline.bundleSha256}/${encodeURIComponent(device)}`;
  if ((await files.shelf.get(key)) !== undefined) {
    return;
  }
  try {
    progress({ stage: "check", loaded: 0, total: 1, path: "golden.json" });
    const { reproduced, sameIds, logitError, pixelError, tolerance } = await pipeline.checkGolden({ signal });
    if (!reproduced) {
      const said = sameIds
        ? `logits differ by ${logitError.toExponential(1)}, pixels by ${pixelError}`
        : "the ids differ";
      throw new ProviderError(
        `this device computes the bundle wrongly (${device}: ${said}; allowed: ${tolerance.logits} and ` +
          `${tolerance.pixels}); choose another provider`,
      );
    }
    progress({ stage: "check", loaded: 1, total: 1, path: "golden.json" });
  } catch (error) {
    await pipeline.close();
    throw error;
  }
  await files.shelf.put(key, new Uint8Array());
}

/** Name what a bundle is computed with: engine, browser, provider, graphics card. */
function deviceName(provider: Provider, adapter: Adapter | undefined, ort: Ort): string {
  const { vendor, architecture, device, description } = adapter?.info ?? {};
  const card = [vendor, architecture, device, description].filter((part) => part);
  return [provider, ...card, `onnxruntime ${ort.env?.versions?.common ?? ""}`, navigator.userAgent].join(" ");
}

interface WorkerScope {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: MessageEvent<unknown>) => void): void;
}

function pageChannel(): Channel {
  const scope = globalThis as unknown as WorkerScope;
  if (typeof document !== "undefined") {
    throw new OptionsError("serveWith draws in a worker; call it there, not in the page");
  }
  return {
    post: (message) => scope.postMessage(message),
    onMessage: (listener) => scope.addEventListener("message", (event) => listener(event.data)),
  };
}
