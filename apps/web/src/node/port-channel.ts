/** Channels over Node's worker threads. */

import type { MessagePort, Worker } from "node:worker_threads";
import { GraphError } from "../errors.js";
import type { Channel } from "../remote/protocol.js";

/** The thread's end. */
export function portChannel(port: MessagePort): Channel {
  return {
    post: (message) => port.postMessage(message),
    onMessage: (listener) => port.on("message", listener),
  };
}

/** The other end of a thread, which ends with the channel. */
export function workerChannel(worker: Worker): Channel {
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (listener) => worker.on("message", listener),
    onFailure: (listener) => {
      worker.on("error", (error) => listener(new GraphError(`the thread that draws failed: ${error.message}`)));
      worker.on("exit", (code) => listener(new GraphError(`the thread that draws ended (code ${code})`)));
    },
    close: async () => {
      await worker.terminate();
    },
  };
}
