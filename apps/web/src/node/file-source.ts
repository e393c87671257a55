/** A bundle in a folder. */

import { createHash } from "node:crypto";
import { createReadStream, type Stats } from "node:fs";
import { open, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import type { ReadOptions, Source } from "../bundle/source.js";
import { check } from "../cancellation.js";
import { BundleError, CancelledError, firstLine } from "../errors.js";

/** Names of the folders in which huggingface_hub keeps a repository. */
const REPOSITORY = /^(models|datasets|spaces)--/;

/** Reads a bundle's folder. Links may leave it only to blobs of their own repository in a hub's cache. */
export class FileSource implements Source {
  readonly name: string;
  readonly #folder: string;

  constructor(folder: string) {
    this.name = folder;
    this.#folder = resolve(folder);
  }

  async read(path: string, { range, signal }: ReadOptions = {}): Promise<Uint8Array> {
    check(signal);
    const place = await this.#place(path);
    try {
      const file = await open(place);
      try {
        const length = range?.length ?? (await file.stat()).size;
        const content = new Uint8Array(length);
        let read = 0;
        while (read < length) {
          const { bytesRead } = await file.read(content, read, length - read, (range?.first ?? 0) + read);
          if (bytesRead === 0) {
            throw new Error("it ends too early");
          }
          read += bytesRead;
        }
        return content;
      } finally {
        await file.close();
      }
    } catch (error) {
      throw this.#unreadable(path, error);
    }
  }

  async size(path: string): Promise<number | undefined> {
    const found = await this.#stat(path);
    if (!found?.isFile()) {
      return undefined;
    }
    await this.#place(path);
    return found.size;
  }

  async sha256(path: string, { signal }: ReadOptions = {}): Promise<string> {
    check(signal);
    const hash = createHash("sha256");
    const place = await this.#place(path);
    try {
      for await (const piece of createReadStream(place, signal ? { signal } : {})) {
        hash.update(piece);
      }
    } catch (error) {
      throw signal?.aborted
        ? new CancelledError("it was cancelled", { cause: signal.reason })
        : this.#unreadable(path, error);
    }
    return hash.digest("hex");
  }

  locate(path: string): string {
    return join(this.#folder, path);
  }

  async #stat(path: string): Promise<Stats | undefined> {
    try {
      return await stat(join(this.#folder, path));
    } catch {
      return undefined;
    }
  }

  /** Return where a file lies; refuse a link that leads elsewhere. */
  async #place(path: string): Promise<string> {
    const place = join(this.#folder, path);
    let real: string;
    let folder: string;
    try {
      [real, folder] = [await realpath(place), await realpath(this.#folder)];
    } catch (error) {
      throw this.#unreadable(path, error);
    }
    if (!real.startsWith(folder + sep) && !isOwnBlob(real, folder)) {
      throw new BundleError(
        `${place} is a link that leaves the bundle; do not use this bundle, or, if the link is your own, make a copy ` +
          "without links",
      );
    }
    return place;
  }

  #unreadable(path: string, error: unknown): BundleError {
    return new BundleError(`cannot read ${join(this.name, path)}: ${firstLine(error)}; copy the bundle again`);
  }
}

/** Say whether a link's end is a blob of the repository, in a hub's cache, that the folder is a snapshot of. */
function isOwnBlob(real: string, folder: string): boolean {
  for (let place = folder; place !== dirname(place); place = dirname(place)) {
    if (basename(dirname(place)) === "snapshots") {
      const repository = dirname(dirname(place));
      return REPOSITORY.test(basename(repository)) && dirname(real) === join(repository, "blobs");
    }
  }
  return false;
}
