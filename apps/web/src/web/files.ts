/**
 * Files of bundles on a shelf, by their SHA-256, in parts. A file counts as whole only once a record says so, which is
 * written last, after its hash was found right; parts without one are what a download goes on from.
 */

import type { FileEntry } from "../bundle/graph-entry.js";
import type { Shelf } from "./shelf.js";

/** Bytes of a part: what a broken download loses at most, and what a read holds twice. */
const PART = 8 * 2 ** 20;

export class StoredFiles {
  readonly shelf: Shelf;
  readonly partBytes: number;

  constructor(shelf: Shelf, partBytes = PART) {
    this.shelf = shelf;
    this.partBytes = partBytes;
  }

  /** Whether the whole file is here. */
  async has(file: FileEntry): Promise<boolean> {
    return (await this.shelf.get(this.#record(file))) !== undefined;
  }

  /** Return the file, or a part of it; undefined where it is not here, or not whole. */
  async read(file: FileEntry, range?: { first: number; length: number }): Promise<Uint8Array | undefined> {
    if (!(await this.has(file))) {
      return undefined;
    }
    const first = Math.min(range?.first ?? 0, file.bytes);
    const end = Math.min(first + (range?.length ?? file.bytes), file.bytes);
    const bytes = new Uint8Array(end - first);
    for (let index = Math.floor(first / this.partBytes); index * this.partBytes < end; index++) {
      const part = await this.part(file, index);
      if (part === undefined) {
        await this.remove(file); // the browser dropped it
        return undefined;
      }
      const start = index * this.partBytes;
      const from = Math.max(first - start, 0);
      bytes.set(part.subarray(from, end - start), start + from - first);
    }
    return bytes;
  }

  /** How large a part of a file is. */
  sizeOf(file: FileEntry, index: number): number {
    return Math.min(this.partBytes, file.bytes - index * this.partBytes);
  }

  /** Return a part as far as it is here, whole; what it holds was not yet hashed. */
  async part(file: FileEntry, index: number): Promise<Uint8Array | undefined> {
    const part = await this.shelf.get(`${file.sha256}/${index}`);
    return part?.length === this.sizeOf(file, index) ? part : undefined;
  }

  async putPart(file: FileEntry, index: number, bytes: Uint8Array): Promise<void> {
    await this.shelf.put(`${file.sha256}/${index}`, bytes);
  }

  /** Record that all parts are here and that the hash over them is right. */
  async finish(file: FileEntry): Promise<void> {
    await this.shelf.put(this.#record(file), new Uint8Array());
  }

  /** Remove a file, whole or not. */
  async remove(file: { readonly sha256: string }): Promise<void> {
    await this.shelf.remove(this.#record(file)); // first: from here on it is not whole
    for (const key of await this.shelf.keys()) {
      if (key.startsWith(`${file.sha256}/`)) {
        await this.shelf.remove(key);
      }
    }
  }

  /** The key of the record. The size of parts is in it, so that a version with other parts does not misread them. */
  #record(file: { readonly sha256: string }): string {
    return `${file.sha256}/whole-${this.partBytes}`;
  }
}
