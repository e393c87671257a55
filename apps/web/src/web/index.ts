/** Browsers: bundles of a server, kept by their hashes, drawn in a worker, so that the page stays awake. */

import { GraphError } from "../errors.js";
import { RemotePipeline } from "../remote/client.js";
import type { Channel } from "../remote/protocol.js";
import { absolute } from "./address.js";
import type { WorkerOptions } from "./serve.js";
import type { Progress } from "./server-source.js";

export * from "../index.js";
export { RemotePipeline } from "../remote/client.js";
export { type MemoryNeeds, memoryNeeds } from "./fit.js";
export { forgetBundle, type KeptBundle, keptBundles } from "./kept.js";
export type { Provider } from "./providers.js";
export type { WorkerOptions } from "./serve.js";
export type { Progress } from "./server-source.js";

export interface UrlOptions extends WorkerOptions {
  signal?: AbortSignal | undefined;
  /** Told of the download, and of the check before the first use. */
  onProgress?: (progress: Progress) => void;
  /** As of `OpenOptions`. */
  onWarning?: (message: string) => void;
  /** A module worker that calls `serveWith`; left out, the package's own. It ends with the pipeline. */
  worker?: Worker;
}

/**
 * Open a bundle on a server, in a worker. What is missing is fetched and kept; close the pipeline to end the worker.
 *
 * @throws OptionsError: an address is none
 * @throws DownloadError, StorageError, BundleError: it could not be fetched, kept, or is damaged
 * @throws ProviderError: it does not fit into memory, or the provider cannot draw it; mostly before the download
 */
export async function openUrl(url: string | URL, options: UrlOptions = {}): Promise<RemotePipeline> {
  const { signal, onProgress, onWarning = warn, worker, ort, ...plain } = options;
  const sent = {
    ...plain,
    url: absolute("url", url),
    ...(ort !== undefined && { ort: absolute("ort", ort) }),
  };
  const channel = workerChannel(worker ?? new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
  return RemotePipeline.open(channel, sent, {
    signal,
    onEvent: (name, value) => (name === "progress" ? onProgress?.(value as Progress) : onWarning(String(value))),
  });
}

function workerChannel(worker: Worker): Channel {
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (listener) => worker.addEventListener("message", (event) => listener(event.data)),
    onFailure: (listener) => {
      worker.addEventListener("error", (event) => {
        listener(new GraphError(`the worker that draws failed: ${event.message || "it could not be loaded"}`));
      });
    },
    close: () => worker.terminate(),
  };
}

function warn(message: string): void {
  console.warn(`amused-edge: ${message}`);
}
