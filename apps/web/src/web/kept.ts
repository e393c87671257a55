/** The bundles that the browser keeps, and how to remove them. */

import { allFiles, readManifest } from "../bundle/manifest.js";
import { fromUtf8 } from "../utf8.js";
import { StoredFiles } from "./files.js";
import { MANIFESTS } from "./server-source.js";
import { openShelf, type Shelf } from "./shelf.js";

export interface KeptBundle {
  /** Address of the bundle's folder. */
  readonly url: string;
  readonly name: string;
  /** Of all its files, whether they are here or not yet. */
  readonly bytes: number;
}

/** Return the bundles that were opened here. */
export async function keptBundles(): Promise<KeptBundle[]> {
  const manifests = await readAll(await openShelf());
  return [...manifests].map(([url, { model, files }]) => ({
    url,
    name: model,
    bytes: [...files.values()].reduce((sum, bytes) => sum + bytes, 0),
  }));
}

/** Remove a bundle, but for files that another one has too; without an address, all that is kept. */
export async function forgetBundle(url?: string | URL): Promise<void> {
  const shelf = await openShelf();
  const manifests = await readAll(shelf);
  const gone = url === undefined ? undefined : new URL(url, document.baseURI).href.replace(/\/?$/, "/");
  const others = [...manifests].filter(([one]) => gone !== undefined && one !== gone);
  const shared = new Set(others.flatMap(([, { files }]) => [...files.keys()]));
  if (gone === undefined) {
    for (const key of await shelf.keys()) {
      await shelf.remove(key);
    }
    return;
  }
  const files = new StoredFiles(shelf);
  for (const sha256 of manifests.get(gone)?.files.keys() ?? []) {
    if (!shared.has(sha256)) {
      await files.remove({ sha256 });
    }
  }
  await shelf.remove(MANIFESTS + encodeURIComponent(gone));
}

interface Known {
  readonly model: string;
  /** Bytes by hash. */
  readonly files: ReadonlyMap<string, number>;
}

async function readAll(shelf: Shelf): Promise<Map<string, Known>> {
  const found = new Map<string, Known>();
  for (const key of await shelf.keys()) {
    if (key.startsWith(MANIFESTS)) {
      const manifest = readManifest(fromUtf8((await shelf.get(key)) ?? new Uint8Array()) ?? "");
      const files = new Map(allFiles(manifest).map((file) => [file.sha256, file.bytes]));
      found.set(decodeURIComponent(key.slice(MANIFESTS.length)), { model: manifest.model.name, files });
    }
  }
  return found;
}
