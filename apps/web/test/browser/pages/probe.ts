/** What tests do inside a page: functions that take and return plain values, as `probe` of the window. */
import { Sha256 } from "../../../src/bundle/sha256.js";
import type { FileEntry, GoldenReport } from "../../../src/index.js";
import { download } from "../../../src/web/download.js";
import { StoredFiles } from "../../../src/web/files.js";
import {
  forgetBundle,
  keptBundles,
  openUrl,
  type Progress,
  type RemotePipeline,
  type UrlOptions,
} from "../../../src/web/index.js";
import { openShelf } from "../../../src/web/shelf.js";

/** Bytes of a part: small, so that small files have several. */
const PART = 64 * 1024;

/** How a call ended: nothing but `loaded` if well. */
export interface Ending {
  readonly loaded: number;
  readonly name?: string;
  readonly message?: string;
}

export interface DownloadAsked {
  readonly url: string;
  readonly file: FileEntry;
  readonly waits?: readonly number[];
  /** Cancel as soon as so many bytes are there; 0: before it begins. */
  readonly cancelAt?: number;
}

export type OpenAsked = Omit<UrlOptions, "signal" | "onProgress" | "onWarning" | "worker"> & {
  cancelAt?: "begin" | Progress["stage"];
};

export interface OpenEnding {
  readonly progress: readonly Progress[];
  readonly warnings: readonly string[];
  readonly name?: string;
  readonly message?: string;
}

export interface DrawEnding {
  readonly steps: number;
  readonly ms: number;
  readonly tokens?: number[] | undefined;
  readonly pixels?: number[] | undefined;
  readonly name?: string;
  readonly message?: string;
}

let pipeline: RemotePipeline | undefined;

export const probe = {
  async download({ url, file, waits = [10], cancelAt }: DownloadAsked): Promise<Ending> {
    const abort = new AbortController();
    let loaded = 0;
    const onBytes = (bytes: number): void => {
      loaded += bytes;
      if (cancelAt !== undefined && loaded >= cancelAt) abort.abort();
    };
    if (cancelAt === 0) abort.abort();
    try {
      await download(url, file, await files(), { signal: abort.signal, onBytes, waits });
      return { loaded };
    } catch (error) {
      const { name, message } = error as Error;
      return { loaded, name, message };
    }
  },

  /** Whether the file is kept whole, and the hash of what is read of it. */
  async stored(file: FileEntry, range?: { first: number; length: number }): Promise<string | undefined> {
    const bytes = await (await files()).read(file, range);
    return bytes && new Sha256().update(bytes).hex();
  },

  async keys(): Promise<string[]> {
    return (await openShelf()).keys();
  },

  async clear(): Promise<void> {
    const shelf = await openShelf();
    for (const key of await shelf.keys()) await shelf.remove(key);
  },

  /** Open a bundle; it is closed when another is opened. */
  async open(url: string, asked: OpenAsked = {}): Promise<OpenEnding> {
    const { cancelAt, ...options } = asked;
    const abort = new AbortController();
    const progress: Progress[] = [];
    const warnings: string[] = [];
    await pipeline?.close();
    pipeline = undefined;
    const onProgress = (now: Progress): void => {
      progress.push(now);
      if (cancelAt === now.stage) abort.abort();
    };
    if (cancelAt === "begin") abort.abort();
    try {
      const onWarning = (warning: string): number => warnings.push(warning);
      pipeline = await openUrl(url, { ort: "/ort", ...options, onProgress, onWarning, signal: abort.signal });
      return { progress, warnings };
    } catch (error) {
      const { name, message } = error as Error;
      return { progress, warnings, name, message };
    }
  },

  /** Draw with the bundle that is open; stop after a step. */
  async draw(prompt: string, seed = 0, cancelAfter?: number): Promise<DrawEnding> {
    const abort = new AbortController();
    const began = performance.now();
    let steps = 0;
    const onStep = (): void => {
      steps++;
      if (steps === cancelAfter) abort.abort();
    };
    try {
      const [picture] = (await pipeline?.generate(prompt, { seed, onStep, signal: abort.signal })) ?? [];
      const { tokens, image } = picture ?? {};
      const ms = performance.now() - began;
      return { steps, ms, tokens: tokens && [...tokens], pixels: image && [...image.data] };
    } catch (error) {
      const { name, message } = error as Error;
      return { steps, ms: performance.now() - began, name, message };
    }
  },

  async checkGolden(): Promise<GoldenReport | undefined> {
    return pipeline?.checkGolden();
  },

  /** Decode tokens, and encode what comes out. */
  async encode(tokens: number[]): Promise<number[]> {
    const image = await pipeline?.decode(Int32Array.from(tokens));
    return image && pipeline ? [...(await pipeline.encode(image))] : [];
  },

  async kept(): Promise<string[]> {
    return (await keptBundles()).map((one) => one.url);
  },

  async forget(url?: string): Promise<void> {
    await forgetBundle(url);
  },

  async kindOfShelf(): Promise<string> {
    return (await openShelf()).constructor.name;
  },
};

async function files(): Promise<StoredFiles> {
  shelf ??= openShelf();
  return new StoredFiles(await shelf, PART);
}

let shelf: ReturnType<typeof openShelf> | undefined;

declare global {
  interface Window {
    probe: typeof probe;
  }
}
window.probe = probe;
