/** What tests do inside a page: functions that take and return plain values, as `probe` of the window. */
import { Sha256 } from "../../../src/bundle/sha256.js";
import type { FileEntry } from "../../../src/index.js";
import { download } from "../../../src/web/download.js";
import { StoredFiles } from "../../../src/web/files.js";
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
