/**
 * Files of bundles on a shelf, by their SHA-256, in parts. A file counts as whole only once a record says so, which is
 * written last, after its hash was found right; parts without one are what a download goes on from.
 */

import type { FileEntry } from "../bundle/graph-entry.js";
import type { Shelf } from "./shelf.js";

/** Bytes of a part: what a broken download loses at most, and what a read holds twice. */
export const PART = 8 * 2 ** 20;

export class StoredFiles {
  readonly shelf: Shelf;

  constructor(shelf: Shelf) {
    this.shelf = shelf;
  }

  /** Whether the whole file is here. */
  async has(file: FileEntry): Promise<boolean> {
    return (await this.shelf.get(record(file))) !== undefined;
  }

  /** Return the file, or a part of it; undefined where it is not here, or not whole. */
  async read(file: FileEntry, range?: { first: number; length: number }): Promise<Uint8Array | undefined> {
    if (!(await this.has(file))) {
      return undefined;
    }
    const first = Math.min(range?.first ?? 0, file.bytes);
    const end = Math.min(first + (range?.length ?? file.bytes), file.bytes);
    const bytes = new Uint8Array(end - first);
    for (let index = Math.floor(first / PART); index * PART < end; index++) {
      const part = await this.part(file, index);
      if (part === undefined) {
        await this.remove(file); // the browser dropped it
        return undefined;
      }
      const from = Math.max(first - index * PART, 0);
      bytes.set(part.subarray(from, end - index * PART), index * PART + from - first);
    }
    return bytes;
  }

  /** Return a part as far as it is here, whole; what it holds was not yet hashed. */
  async part(file: FileEntry, index: number): Promise<Uint8Array | undefined> {
    const part = await this.shelf.get(`${file.sha256}/${index}`);
    return part?.length === Math.min(PART, file.bytes - index * PART) ? part : undefined;
  }

  async putPart(file: FileEntry, index: number, bytes: Uint8Array): Promise<void> {
    await this.shelf.put(`${file.sha256}/${index}`, bytes);
  }

  /** Record that all parts are here and that the hash over them is right. */
  async finish(file: FileEntry): Promise<void> {
    await this.shelf.put(record(file), new Uint8Array());
  }

  /** Remove a file, whole or not. */
  async remove(file: { readonly sha256: string }): Promise<void> {
    await this.shelf.remove(record(file)); // first: from here on it is not whole
    for (const key of await this.shelf.keys()) {
      if (key.startsWith(`${file.sha256}/`)) {
        await this.shelf.remove(key);
      }
    }
  }
}

/** The key of the record; the size of parts is in it, so that another version with other parts does not misread them. */
function record(file: { readonly sha256: string }): string {
  return `${file.sha256}/whole-${PART}`;
}
