/** The bundles that the browser keeps, and how to remove them. */

import { allFiles, readManifest } from "../bundle/manifest.js";
import { fromUtf8 } from "../utf8.js";
import { absolute } from "./address.js";
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
  if (url === undefined) {
    for (const key of await shelf.keys()) {
      await shelf.remove(key);
    }
    return;
  }
  const gone = absolute("url", url).replace(/\/?$/, "/");
  const manifests = await readAll(shelf);
  const others = [...manifests].filter(([one]) => one !== gone);
  const shared = new Set(others.flatMap(([, { files }]) => [...files.keys()]));
  const stored = new StoredFiles(shelf);
  for (const sha256 of manifests.get(gone)?.files.keys() ?? []) {
    if (!shared.has(sha256)) {
      await stored.remove({ sha256 });
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
      const known = readKnown(await shelf.get(key));
      found.set(decodeURIComponent(key.slice(MANIFESTS.length)), known);
    }
  }
  return found;
}

/** Return what a manifest says; of one that another version of this package kept, and this one cannot read, nothing. */
function readKnown(bytes: Uint8Array | undefined): Known {
  try {
    const manifest = readManifest(fromUtf8(bytes ?? new Uint8Array()) ?? "");
    return { model: manifest.model.name, files: new Map(allFiles(manifest).map((file) => [file.sha256, file.bytes])) };
  } catch {
    return { model: "", files: new Map() };
  }
}
