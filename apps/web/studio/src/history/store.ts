/** Pictures that were drawn here, kept by the browser: the newest hundred. */

export interface Entry {
  readonly id: number;
  /** When, in ms since 1970. */
  readonly at: number;
  readonly bundle: string;
  readonly prompt: string;
  /** JSON, as in the file. */
  readonly parameters: string;
  readonly png: Uint8Array<ArrayBuffer>;
  readonly seconds: number;
  /** What it started from, as PNG files. */
  readonly image?: Uint8Array<ArrayBuffer> | undefined;
  readonly mask?: Uint8Array<ArrayBuffer> | undefined;
}

const MOST_ENTRIES = 100;
const MOST_BYTES = 60e6;
const NAME = "amused-edge studio";
const PICTURES = "pictures";

/** Where the browser keeps nothing, as in some private windows, entries last until the page is left. */
export class HistoryStore {
  readonly #database: Promise<IDBDatabase | undefined>;
  readonly #channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(NAME) : undefined;
  #memory: Entry[] = [];

  /** @param changed called when another tab changed something */
  constructor(changed: () => void) {
    this.#database = openDatabase();
    this.#channel?.addEventListener("message", changed);
  }

  /** Return all entries, the newest first. */
  async all(): Promise<Entry[]> {
    const database = await this.#database;
    const found = database ? await asked<Entry[]>(database, "readonly", (store) => store.getAll()) : this.#memory;
    return [...found].sort((a, b) => b.id - a.id);
  }

  /**
   * Keep an entry, and let go of the oldest where there are too many.
   *
   * @throws what the browser said, where it has no room even with half of them gone
   */
  async add(entry: Omit<Entry, "id">): Promise<void> {
    const database = await this.#database;
    if (!database) {
      this.#memory.push({ ...entry, id: (this.#memory.at(-1)?.id ?? 0) + 1 });
    } else {
      const add = (): Promise<unknown> => asked(database, "readwrite", (store) => store.add(entry));
      await add().catch(async () => {
        await this.#trim(MOST_ENTRIES / 2); // the browser has no room: half of them make some
        await add();
      });
    }
    await this.#trim(MOST_ENTRIES);
    this.#channel?.postMessage("added");
  }

  async remove(id: number): Promise<void> {
    await this.#removeAll([id]);
    this.#channel?.postMessage("removed");
  }

  async clear(): Promise<void> {
    await this.#removeAll((await this.all()).map((entry) => entry.id));
    this.#channel?.postMessage("removed");
  }

  async #trim(most: number): Promise<void> {
    let bytes = 0;
    const gone = (await this.all()).filter((entry, place) => {
      bytes += entry.png.length + (entry.image?.length ?? 0) + (entry.mask?.length ?? 0);
      return place >= most || (place > 0 && bytes > MOST_BYTES);
    });
    await this.#removeAll(gone.map((entry) => entry.id));
  }

  async #removeAll(ids: readonly number[]): Promise<void> {
    const database = await this.#database;
    this.#memory = this.#memory.filter((entry) => !ids.includes(entry.id));
    for (const id of database ? ids : []) {
      await asked(database as IDBDatabase, "readwrite", (store) => store.delete(id));
    }
  }
}

function openDatabase(): Promise<IDBDatabase | undefined> {
  return new Promise((resolve) => {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () =>
        request.result.createObjectStore(PICTURES, { keyPath: "id", autoIncrement: true });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(undefined);
      request.onblocked = () => resolve(undefined);
    } catch {
      resolve(undefined);
    }
  });
}

/** Ask the store; what a database throws at once, as one that was closed does, is a rejection too. */
function asked<T>(
  database: IDBDatabase,
  mode: IDBTransactionMode,
  ask: (store: IDBObjectStore) => IDBRequest,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = ask(database.transaction(PICTURES, mode).objectStore(PICTURES));
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(request.error ?? new Error("the browser's store failed"));
  });
}
