/** One file from a server to the shelf: hashed as it streams, gone on with by Range where the network broke it off. */

import type { FileEntry } from "../bundle/graph-entry.js";
import { BundleError, CancelledError, DownloadError, firstLine, StorageError } from "../errors.js";
import type { StoredFiles } from "./files.js";
import { GrowingFile } from "./growing-file.js";

/** Waits before the next attempts, in ms; where bytes came in between, they are counted anew. */
const WAITS = [500, 1000, 2000, 4000];

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes that came, or that an earlier visit left; a negative number takes some back. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  readonly waits?: readonly number[] | undefined;
}

/**
 * Fetch a file, unless it is here, and keep it.
 *
 * Throws `DownloadError` where the server or the network fails, `StorageError` where there is no room, `BundleError`
 * where what came is not what the manifest says, `CancelledError`. After none of these does the file count as whole.
 */
export async function download(
  url: string,
  file: FileEntry,
  files: StoredFiles,
  options: DownloadOptions = {},
): Promise<void> {
  const { signal } = options;
  try {
    await files.shelf.alone(file.sha256, () => downloadAlone(url, file, files, options), signal);
  } catch (error) {
    if (error instanceof BundleError || error instanceof StorageError) {
      // A break leaves its parts to go on from; these are of no use, or take room. If they stay, the next visit finds out.
      await files.remove(file).catch(() => undefined);
    }
    throw signal?.aborted
      ? new CancelledError(`the download of ${url} was cancelled`, { cause: signal.reason })
      : error;
  }
}

async function downloadAlone(
  url: string,
  file: FileEntry,
  files: StoredFiles,
  options: DownloadOptions,
): Promise<void> {
  const onBytes = options.onBytes ?? (() => undefined);
  if (await files.has(file)) {
    return onBytes(file.bytes); // another tab was faster
  }
  const growing = new GrowingFile(file, files, onBytes);
  await growing.takeUp();
  const found = growing.length > 0;
  const pieces = await fetchRest(url, growing, options);
  if (await growing.finish()) {
    return;
  }
  if (found || pieces > 1) {
    // One of the pieces may be bad, or they may not belong together: once more, in one.
    await files.remove(file);
    onBytes(-growing.length);
    const anew = new GrowingFile(file, files, onBytes);
    await fetchRest(url, anew, options);
    if (await anew.finish()) {
      return;
    }
  }
  throw new BundleError(`${url} is damaged: its SHA-256 is not the manifest's; copy the bundle to the server again`);
}

/** Fetch what is missing. Return in how many pieces it came. */
async function fetchRest(url: string, growing: GrowingFile, options: DownloadOptions): Promise<number> {
  const waits = options.waits ?? WAITS;
  let pieces = 0;
  let failures = 0;
  while (growing.length < growing.file.bytes) {
    const before = growing.length;
    try {
      await fetchPiece(url, growing, options.signal);
    } catch (error) {
      if (!(error instanceof Interruption)) {
        throw error;
      }
      failures = growing.length > before ? 1 : failures + 1;
      const wait = waits[failures - 1];
      if (wait === undefined) {
        throw new DownloadError(
          `the download of ${url} broke off after ${growing.length} of ${growing.file.bytes} bytes (${error.message}); ` +
            "open the bundle again to go on",
          { cause: error.cause },
        );
      }
      await pause(wait, options.signal);
    }
    pieces += growing.length > before ? 1 : 0;
  }
  return pieces;
}

/** Fetch up to the end, or until the network breaks. */
async function fetchPiece(url: string, growing: GrowingFile, signal: AbortSignal | undefined): Promise<void> {
  const first = growing.length;
  const headers = first > 0 ? { Range: `bytes=${first}-` } : undefined;
  const response = await attempt(() =>
    fetch(url, { cache: "no-store", ...(headers && { headers }), ...(signal && { signal }) }),
  );
  checkStatus(url, response, first);
  let skip = response.status === 206 ? 0 : first; // a server without Range sends all of it
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await attempt(async () => reader?.read())) ?? { done: true };
    if (done) {
      break;
    }
    const fresh = value.subarray(Math.min(skip, value.length));
    skip -= value.length - fresh.length;
    await growing.add(fresh);
    signal?.throwIfAborted();
  }
  if (growing.length < growing.file.bytes) {
    throw new BundleError(
      `${url} has ${growing.length} bytes, not ${growing.file.bytes}; copy the bundle to the server again`,
    );
  }
}

function checkStatus(url: string, response: Response, first: number): void {
  const { status } = response;
  if (status === 408 || status === 429 || status >= 500) {
    throw new Interruption(`the server answered ${status}`);
  }
  if (status === 416) {
    throw new BundleError(`${url} has no more than ${first} bytes; copy the bundle to the server again`);
  }
  if (!response.ok) {
    throw new DownloadError(`the server answered ${status} for ${url}; check the bundle's address`);
  }
  const start = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
  if (status === 206 && start !== undefined && Number(start) !== first) {
    throw new DownloadError(
      `the server sent ${url} from byte ${start}, where ${first} was asked for; use another server`,
    );
  }
}

/** What may go well the next time. */
class Interruption extends Error {}

/** Run what touches the network; its errors are interruptions. */
async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Interruption(firstLine(error), { cause: error });
  }
}

/** Wait; an abort ends it with the signal's reason. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) {
      stop();
    }
  });
}
