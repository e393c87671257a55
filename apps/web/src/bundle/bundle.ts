/**
 * A bundle: a folder, immutable once written, with everything an app needs for one target.
 *
 * Opening is cheap: the manifest's schema and names, the presence and size of every file. Hashes are for `verify`.
 */

import { breathe, check } from "../cancellation.js";
import { BundleError } from "../errors.js";
import { fromUtf8 } from "../utf8.js";
import type { FileEntry, GraphEntry } from "./graph-entry.js";
import {
  allFiles,
  GOLDEN_NAME,
  MANIFEST_NAME,
  type Manifest,
  ROLES,
  type Role,
  readManifest,
  TOKENIZER_NAME,
} from "./manifest.js";
import { Sha256, sha256 } from "./sha256.js";
import type { Source } from "./source.js";

/** Bytes that are hashed at a time. */
const PIECE = 2 ** 22;

export interface Bundle {
  readonly source: Source;
  readonly manifest: Manifest;
  /** Hash of the manifest, which holds the hashes of all other files: the bundle's identity. */
  readonly sha256: string;
}

/**
 * Open a bundle; throws `BundleError` if it is none, a role is missing, or a file is missing or of another size.
 */
export async function openBundle(source: Source, signal?: AbortSignal): Promise<Bundle> {
  check(signal);
  const bytes = await readManifestFile(source, signal);
  const text = fromUtf8(bytes);
  if (text === undefined) {
    throw notABundle(source);
  }
  const manifest = readManifest(text);
  checkRoles(source, manifest);
  for (const entry of allFiles(manifest)) {
    check(signal);
    await checkFile(source, entry, signal);
  }
  return { source, manifest, sha256: sha256(bytes) };
}

async function readManifestFile(source: Source, signal: AbortSignal | undefined): Promise<Uint8Array> {
  if ((await source.size(MANIFEST_NAME, { signal })) === undefined) {
    throw notABundle(source);
  }
  return source.read(MANIFEST_NAME, { signal });
}

function notABundle(source: Source): BundleError {
  return new BundleError(
    `${source.name} is not a bundle: cannot read ${MANIFEST_NAME}; make one with \`amused-edge export\``,
  );
}

/** Return the entry of a role. */
export function graphEntry(bundle: Bundle, role: Role): GraphEntry {
  return bundle.manifest.graphs[role];
}

/** Return the text of one of the files that belong to no graph. */
export async function readText(bundle: Bundle, name: string, signal?: AbortSignal): Promise<string> {
  const entry = bundle.manifest.files[name];
  const text = fromUtf8(await bundle.source.read(entry.path, { expected: entry, signal }));
  if (text === undefined) {
    throw new BundleError(`${entry.path} of ${bundle.source.name} is not UTF-8 text; copy the bundle again`);
  }
  return text;
}

/** Check the hash of every file; throws `BundleError`, which names the first whose content is not the manifest's. */
export async function verify(bundle: Bundle, signal?: AbortSignal): Promise<void> {
  for (const entry of allFiles(bundle.manifest)) {
    check(signal);
    if ((await hash(bundle.source, entry, signal)) !== entry.sha256) {
      throw new BundleError(
        `${entry.path} of ${bundle.source.name} is damaged: its SHA-256 is not the manifest's; copy the bundle again`,
      );
    }
  }
}

async function hash(source: Source, entry: FileEntry, signal: AbortSignal | undefined): Promise<string> {
  if (source.sha256) {
    return source.sha256(entry.path, { expected: entry, signal });
  }
  const digest = new Sha256();
  for (let first = 0; first < entry.bytes; first += PIECE) {
    const range = { first, length: Math.min(PIECE, entry.bytes - first) };
    digest.update(await source.read(entry.path, { expected: entry, signal, range }));
    await breathe(signal);
  }
  return digest.hex();
}

function checkRoles(source: Source, manifest: Manifest): void {
  const missing = [
    ...ROLES.filter((role) => !Object.hasOwn(manifest.graphs, role)),
    ...[TOKENIZER_NAME, GOLDEN_NAME].filter((name) => !Object.hasOwn(manifest.files, name)),
  ];
  if (missing.length) {
    throw new BundleError(`bundle ${source.name} lacks ${missing.join(", ")}; copy it again, or export it again`);
  }
}

async function checkFile(source: Source, entry: FileEntry, signal: AbortSignal | undefined): Promise<void> {
  const size = await source.size(entry.path, { expected: entry, signal });
  if (size === undefined) {
    throw new BundleError(`bundle ${source.name} lacks the file ${entry.path}; copy it again`);
  }
  if (size !== entry.bytes) {
    throw new BundleError(
      `${entry.path} of ${source.name} has ${size} bytes, the manifest says ${entry.bytes}: truncated or changed; ` +
        "copy the bundle again",
    );
  }
}
