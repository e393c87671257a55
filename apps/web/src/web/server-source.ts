/** A bundle on a server: each file is fetched once, hashed as it comes, and kept by its hash. */

import type { FileEntry } from "../bundle/graph-entry.js";
import type { ReadOptions, Source } from "../bundle/source.js";
import { CancelledError, DownloadError, firstLine, InternalError, StorageError } from "../errors.js";
import { download } from "./download.js";
import type { StoredFiles } from "./files.js";
import { megabytes, room } from "./shelf.js";

/** How far a download, or the check before the first use, is. */
export interface Progress {
  readonly stage: "download" | "check";
  /** Bytes so far, of all that were missing when it began; what an earlier visit left of a file counts at once. */
  readonly loaded: number;
  readonly total: number;
  /** The file that is being fetched, or checked. */
  readonly path: string;
}

/** Shortest time between two reports, in ms. */
const REPORT_EVERY = 50;

export const MANIFESTS = "manifests/";

export class ServerSource implements Source {
  readonly name: string;
  readonly #files: StoredFiles;
  readonly #onProgress: (progress: Progress) => void;
  #manifestBytes: Uint8Array | undefined;

  /** @param url absolute, of the bundle's folder */
  constructor(url: string, files: StoredFiles, onProgress: (progress: Progress) => void = () => undefined) {
    this.name = url.endsWith("/") ? url : `${url}/`;
    this.#files = files;
    this.#onProgress = onProgress;
  }

  /** Fetch those of the files that are not here, one after the other; look at each with `onFile`. Throws as `download`. */
  async fetch(
    files: readonly FileEntry[],
    signal?: AbortSignal,
    onFile?: (file: FileEntry) => Promise<void>,
  ): Promise<void> {
    const missing: FileEntry[] = [];
    for (const file of files) {
      if (!(await this.#files.has(file))) {
        missing.push(file);
      }
    }
    const total = missing.reduce((sum, file) => sum + file.bytes, 0);
    await this.#checkRoom(total);
    let loaded = 0;
    let reported = Number.NEGATIVE_INFINITY;
    for (const file of files) {
      const onBytes = (bytes: number): void => {
        loaded += bytes;
        if (loaded === total || performance.now() - reported >= REPORT_EVERY) {
          reported = performance.now();
          this.#onProgress({ stage: "download", loaded, total, path: file.path });
        }
      };
      if (missing.includes(file)) {
        await download(this.#url(file.path), file, this.#files, { signal, onBytes });
      }
      await onFile?.(file);
    }
  }

  async read(path: string, { expected, range, signal }: ReadOptions = {}): Promise<Uint8Array> {
    if (expected === undefined) {
      this.#manifestBytes ??= await this.#manifest(path, signal);
      const bytes = this.#manifestBytes;
      return range ? bytes.subarray(range.first, range.first + range.length) : bytes;
    }
    await this.fetch([expected], signal);
    const bytes = await this.#files.read(expected, range);
    if (bytes === undefined) {
      throw new StorageError(`the browser dropped ${this.#url(path)} as soon as it had it; free space on the device`);
    }
    return bytes;
  }

  /** What the manifest says: `fetch` checks that it is true. */
  async size(path: string, options: ReadOptions = {}): Promise<number> {
    return options.expected?.bytes ?? (await this.read(path, options)).length;
  }

  async sha256(path: string, { expected, signal }: ReadOptions = {}): Promise<string> {
    if (expected === undefined) {
      throw new InternalError(`nothing is said of the hash of ${path}`);
    }
    await this.fetch([expected], signal);
    return expected.sha256;
  }

  /** Keep the manifest, which was found good, for visits without a network. */
  async keepManifest(): Promise<void> {
    if (this.#manifestBytes) {
      await this.#files.shelf.put(this.#manifestKey, this.#manifestBytes);
    }
  }

  get #manifestKey(): string {
    return MANIFESTS + encodeURIComponent(this.name);
  }

  /** Return the manifest as the server has it now; where it cannot be reached, as it was at the last visit. */
  async #manifest(path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const url = this.#url(path);
    const answer = await fetchNow(url, signal);
    if (answer.bytes !== undefined) {
      return answer.bytes;
    }
    const kept = answer.reachable ? undefined : await this.#files.shelf.get(this.#manifestKey);
    if (kept === undefined) {
      throw new DownloadError(`cannot fetch ${url} (${answer.said}); is there a bundle at this address?`);
    }
    return kept;
  }

  async #checkRoom(bytes: number): Promise<void> {
    const left = bytes > 0 && this.#files.shelf.persists ? await room() : undefined;
    if (left !== undefined && left < bytes) {
      throw new StorageError(
        `${this.name} needs ${megabytes(bytes)}, and the browser has room for ${megabytes(left)}; free space on the device`,
      );
    }
  }

  #url(path: string): string {
    return this.name + path.split("/").map(encodeURIComponent).join("/");
  }
}

interface Answer {
  readonly bytes?: Uint8Array;
  readonly reachable: boolean;
  readonly said: string;
}

/** Fetch what is not kept by its hash: from the browser's own cache only where the server says that it is unchanged. */
async function fetchNow(url: string, signal: AbortSignal | undefined): Promise<Answer> {
  try {
    const response = await fetch(url, { cache: "no-cache", ...(signal && { signal }) });
    const said = `the server answered ${response.status}`;
    if (!response.ok) {
      return { reachable: response.status < 500, said };
    }
    return { bytes: new Uint8Array(await response.arrayBuffer()), reachable: true, said };
  } catch (error) {
    if (signal?.aborted) {
      throw new CancelledError(`the download of ${url} was cancelled`, { cause: signal.reason });
    }
    return { reachable: false, said: firstLine(error) };
  }
}
