/** Node: bundles from folders, drawn in a worker thread, so that the event loop is free while the engine computes. */

import { Worker } from "node:worker_threads";
import { RemotePipeline } from "../remote/client.js";
import { workerChannel } from "./port-channel.js";
import type { NodeOptions } from "./worker.js";

export * from "../index.js";
export { RemotePipeline } from "../remote/client.js";
export { FileSource } from "./file-source.js";
export { pngOf, readPng } from "./png.js";
export type { NodeOptions } from "./worker.js";

export interface FolderOptions extends NodeOptions {
  signal?: AbortSignal | undefined;
  /** As of `OpenOptions`. */
  onWarning?: (message: string) => void;
}

/**
 * Open a bundle in a folder with onnxruntime-node, which must be installed beside this package, in a thread of its own.
 *
 * Close the pipeline, or the thread keeps the process alive.
 */
export function openFolder(folder: string, options: FolderOptions = {}): Promise<RemotePipeline> {
  const { signal, onWarning = warn, ...plain } = options;
  const channel = workerChannel(new Worker(new URL("./worker.js", import.meta.url)));
  return RemotePipeline.open(
    channel,
    { folder, ...plain },
    { signal, onEvent: (_, message) => onWarning(String(message)) },
  );
}

function warn(message: string): void {
  console.warn(`amused-edge: ${message}`);
}
