/** Manifests of the bundles that are offered, each fetched once. */

import { type Manifest, readManifest } from "../../../src/bundle/manifest.js";
import { DownloadError } from "../../../src/errors.js";
import type { BundleInfo } from "./bundles.js";

const known = new Map<string, Promise<Manifest>>();

export function manifestOf(bundle: BundleInfo): Promise<Manifest> {
  const found = known.get(bundle.id) ?? fetchManifest(bundle);
  known.set(bundle.id, found);
  found.catch(() => known.delete(bundle.id)); // asked again the next time
  return found;
}

/** Return the address of a bundle's folder. */
export function folderOf(bundle: BundleInfo): string {
  const url = new URL(bundle.files.replace(/^\//, ""), document.baseURI);
  return url.href.endsWith("/") ? url.href : `${url.href}/`;
}

async function fetchManifest(bundle: BundleInfo): Promise<Manifest> {
  const url = `${folderOf(bundle)}manifest.json`;
  const response = await fetch(url, { cache: "no-cache" }).catch(() => undefined);
  if (!response?.ok) {
    const said = response ? `the server answered ${response.status}` : "the server does not answer";
    throw new DownloadError(`cannot fetch ${url} (${said}); is there a bundle at this address?`);
  }
  return readManifest(await response.text());
}
