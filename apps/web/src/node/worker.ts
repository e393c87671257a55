/** The thread in which a bundle of a folder is drawn. */

import { availableParallelism } from "node:os";
import { parentPort } from "node:worker_threads";
import { BundleError, firstLine } from "../errors.js";
import { AmusedPipeline, type OpenOptions } from "../pipeline.js";
import { serve } from "../remote/serve.js";
import { FileSource } from "./file-source.js";
import { portChannel } from "./port-channel.js";
import { exactSums } from "./signed-products.js";

/** Of a pipeline in a thread of its own: what can be sent there. */
export type NodeOptions = Omit<OpenOptions, "ort" | "signal" | "onWarning">;

if (parentPort) {
  serve(portChannel(parentPort), async (given, tell, signal) => {
    const { folder, ...options } = given as NodeOptions & { folder: string };
    const ort = await onnxruntime();
    return AmusedPipeline.open(new FileSource(folder), {
      threads: availableParallelism(),
      ...options,
      sessionOptions: { ...(await exactSums(ort)), ...options.sessionOptions },
      ort,
      signal,
      onWarning: (message) => tell("warning", message),
    });
  });
}

async function onnxruntime(): Promise<OpenOptions["ort"]> {
  try {
    return await import("onnxruntime-node");
  } catch (error) {
    throw new BundleError(
      `onnxruntime-node cannot be loaded (${firstLine(error)}); install it beside amused-edge: npm install onnxruntime-node`,
    );
  }
}
