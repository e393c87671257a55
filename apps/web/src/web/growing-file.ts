/** A file that is being put together on the shelf, and its hash so far. It knows no network. */

import type { FileEntry } from "../bundle/graph-entry.js";
import { Sha256 } from "../bundle/sha256.js";
import { BundleError } from "../errors.js";
import type { StoredFiles } from "./files.js";

export class GrowingFile {
  readonly file: FileEntry;
  /** Bytes so far. */
  length = 0;
  readonly #files: StoredFiles;
  readonly #onBytes: (bytes: number) => void;
  readonly #hash = new Sha256();
  /** The part that is being filled, and how far it is. */
  #part = new Uint8Array();
  #filled = 0;

  constructor(file: FileEntry, files: StoredFiles, onBytes: (bytes: number) => void) {
    this.file = file;
    this.#files = files;
    this.#onBytes = onBytes;
  }

  /** Take up the parts that an earlier visit left. */
  async takeUp(): Promise<void> {
    for (let index = 0; this.length < this.file.bytes; index++) {
      const part = await this.#files.part(this.file, index);
      if (part === undefined) {
        return;
      }
      this.#hash.update(part);
      this.#count(part.length);
    }
  }

  /** Add what comes next; each part that is full goes to the shelf. */
  async add(bytes: Uint8Array): Promise<void> {
    if (this.length + bytes.length > this.file.bytes) {
      throw new BundleError(
        `${this.file.path} has more than ${this.file.bytes} bytes on the server; copy the bundle to the server again`,
      );
    }
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === 0) {
        this.#part = new Uint8Array(this.#files.sizeOf(this.file, this.length / this.#files.partBytes));
      }
      const piece = bytes.subarray(at, at + this.#part.length - this.#filled);
      this.#part.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      this.#count(piece.length);
      if (this.#filled === this.#part.length) {
        await this.#keepPart();
      }
    }
  }

  /** Record the file as whole, if its hash is right, and return whether it is. */
  async finish(): Promise<boolean> {
    if (this.#hash.hex() !== this.file.sha256) {
      return false;
    }
    await this.#files.finish(this.file);
    return true;
  }

  #count(bytes: number): void {
    this.length += bytes;
    this.#onBytes(bytes);
  }

  async #keepPart(): Promise<void> {
    await this.#files.putPart(this.file, Math.ceil(this.length / this.#files.partBytes) - 1, this.#part);
    this.#filled = 0;
  }
}
