/**
 * React Native: bundles from files on the device, drawn by onnxruntime-react-native.
 *
 * Nothing is imported from there: the app gives the module, and what reads files (React Native has no files of its own;
 * expo-file-system and react-native-fs do).
 */

import type { ReadOptions, Source } from "../bundle/source.js";
import { check } from "../cancellation.js";
import { BundleError, firstLine } from "../errors.js";

export * from "../index.js";

/** What reads files of an app; each function takes a path or URI. */
export interface FileReader {
  /** Return how many bytes a file has; undefined, or an error: there is none. */
  size(path: string): Promise<number | undefined>;
  /** Return a file's content, or a part of it. */
  read(path: string, first: number, length: number): Promise<Uint8Array>;
  /** Return the SHA-256 of a file in hex, if there is something faster for it than JavaScript. */
  sha256?(path: string): Promise<string>;
}

/** A bundle in a folder of the device. */
export class DeviceSource implements Source {
  readonly name: string;
  readonly #folder: string;
  readonly #files: FileReader;
  readonly sha256?: (path: string, options?: ReadOptions) => Promise<string>;

  /** @param folder a path or URI as the reader and onnxruntime-react-native take it */
  constructor(folder: string, files: FileReader) {
    this.name = folder;
    this.#folder = folder.replace(/\/+$/, "");
    this.#files = files;
    const hash = files.sha256?.bind(files);
    if (hash) {
      this.sha256 = (path) => hash(this.locate(path));
    }
  }

  async read(path: string, { range, signal }: ReadOptions = {}): Promise<Uint8Array> {
    check(signal);
    try {
      const length = range?.length ?? (await this.#files.size(this.locate(path))) ?? 0;
      return await this.#files.read(this.locate(path), range?.first ?? 0, length);
    } catch (error) {
      throw new BundleError(`cannot read ${this.locate(path)}: ${firstLine(error)}; copy the bundle again`);
    }
  }

  async size(path: string): Promise<number | undefined> {
    return this.#files.size(this.locate(path)).catch(() => undefined);
  }

  /** onnxruntime opens the file itself, and the weights beside it. */
  locate(path: string): string {
    return `${this.#folder}/${path}`;
  }
}
