/** Where a bundle's files come from: a folder, a server with a cache before it, memory. */

import { BundleError } from "../errors.js";
import type { FileEntry } from "./graph-entry.js";

export interface ReadOptions {
  signal?: AbortSignal | undefined;
  /** What the manifest says of the file; a source that keeps copies finds them by its hash. */
  expected?: FileEntry | undefined;
  /** Only this part of the file. */
  range?: { readonly first: number; readonly length: number } | undefined;
}

/**
 * Reads the files of one bundle by the names that its manifest gives them ("/" between parts).
 *
 * What goes wrong is thrown as `BundleError`, `DownloadError` or `StorageError`, an abort as `CancelledError`.
 */
export interface Source {
  /** Where the bundle is, for messages. */
  readonly name: string;

  /** Return the content of a file, or of a part of it. The bytes are the caller's to read, not to change. */
  read(path: string, options?: ReadOptions): Promise<Uint8Array>;

  /** Return how many bytes a file has; undefined: there is none. */
  size(path: string, options?: ReadOptions): Promise<number | undefined>;

  /** Return the SHA-256 of a file in hex, where the source has it at hand or takes it faster than by `read`. */
  sha256?(path: string, options?: ReadOptions): Promise<string>;

  /** Return a path or URI that the engine opens itself; undefined, or without this function, it is given bytes. */
  locate?(path: string): string | undefined;

  /** Release what the source holds; called when the pipeline is closed. */
  close?(): Promise<void> | void;
}

/** A bundle in memory: its files by name. */
export class MemorySource implements Source {
  readonly name: string;
  readonly #files: Readonly<Record<string, Uint8Array>>;

  constructor(files: Readonly<Record<string, Uint8Array>>, name = "the bundle in memory") {
    this.name = name;
    this.#files = files;
  }

  async read(path: string, { range }: ReadOptions = {}): Promise<Uint8Array> {
    const file = this.#file(path);
    if (file === undefined) {
      throw new BundleError(`${this.name} lacks the file ${path}; copy it again`);
    }
    return range === undefined ? file : file.subarray(range.first, range.first + range.length);
  }

  async size(path: string): Promise<number | undefined> {
    return this.#file(path)?.length;
  }

  #file(path: string): Uint8Array | undefined {
    return Object.hasOwn(this.#files, path) ? this.#files[path] : undefined;
  }
}
