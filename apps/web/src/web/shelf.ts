/** Bytes by key, kept by the browser from visit to visit, or in memory where it keeps nothing. It knows no bundles. */

import { firstLine, StorageError } from "../errors.js";

export interface Shelf {
  /** Whether the next visit finds what is kept now. */
  readonly persists: boolean;
  /** This, `remove` and `keys` throw `StorageError` where the browser cannot read what it keeps. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** All of it or nothing is kept. Throws `StorageError` where there is no room. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  remove(key: string): Promise<void>;
  keys(): Promise<string[]>;
  /** Run `work` while nobody else, in any tab, runs work of this name. */
  alone<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

const CACHE = "amused-edge";
const PREFIX = "https://amused-edge.invalid/"; // the Cache API takes nothing but URLs as keys; this one leads nowhere

/** Return the browser's Cache API; memory where there is none, as on pages that came by plain http. */
export async function openShelf(): Promise<Shelf> {
  if (globalThis.caches === undefined) {
    return new MemoryShelf();
  }
  try {
    return new CacheShelf(await caches.open(CACHE));
  } catch {
    return new MemoryShelf(); // a private window, or storage that the user forbade
  }
}

export class CacheShelf implements Shelf {
  readonly persists = true;
  readonly #cache: Cache;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return reading(async () => {
      const response = await this.#cache.match(PREFIX + key);
      return response && new Uint8Array(await response.arrayBuffer());
    });
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    try {
      await this.#cache.put(PREFIX + key, new Response(bytes as Uint8Array<ArrayBuffer>));
    } catch (error) {
      throw await noRoom(error, bytes.length);
    }
  }

  async remove(key: string): Promise<void> {
    await reading(() => this.#cache.delete(PREFIX + key));
  }

  async keys(): Promise<string[]> {
    return reading(async () => (await this.#cache.keys()).map((request) => request.url.slice(PREFIX.length)));
  }

  async alone<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return navigator.locks.request(`${CACHE}/${name}`, { ...(signal && { signal }) }, work);
  }
}

export class MemoryShelf implements Shelf {
  readonly persists = false;
  readonly #kept = new Map<string, Uint8Array>();

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#kept.get(key);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    this.#kept.set(key, bytes.slice());
  }

  async remove(key: string): Promise<void> {
    this.#kept.delete(key);
  }

  async keys(): Promise<string[]> {
    return [...this.#kept.keys()];
  }

  async alone<T>(_name: string, work: () => Promise<T>): Promise<T> {
    return work();
  }
}

/** What the browser still has room for, in bytes; undefined where it does not say. */
export async function room(): Promise<number | undefined> {
  const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
  return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
}

/** Run what touches what the browser keeps; its disk may fail. */
async function reading<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new StorageError(
      `the browser cannot read what it keeps (${firstLine(error)}); reload the page, or remove this site's data`,
      { cause: error },
    );
  }
}

async function noRoom(error: unknown, bytes: number): Promise<StorageError> {
  const left = await room();
  const said = left === undefined ? firstLine(error) : `it has room for ${megabytes(left)}`;
  return new StorageError(
    `the browser does not keep ${megabytes(bytes)} more (${said}); free space on the device, or remove other bundles`,
    { cause: error },
  );
}

/** Return a number of bytes for a message. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
