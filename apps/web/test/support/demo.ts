/** The demo's bundle and engines to draw it with. */

import * as ort from "onnxruntime-node";
import { AmusedPipeline, type OpenOptions, type Source } from "../../src/index.js";
import { FileSource } from "../../src/node/file-source.js";
import { DEMO } from "./paths.js";

export const PROMPT = "a red fox on a blue background";

/** Open the demo's bundle, or another, with onnxruntime-node in this thread. */
export function openDemo(
  options: Partial<OpenOptions> = {},
  source: Source = new FileSource(DEMO),
): Promise<AmusedPipeline> {
  return AmusedPipeline.open(source, { ort, threads: 1, ...options });
}

/** Return an `ort` whose calls of graphs are counted, by the names of their inputs. */
export function countingOrt(onRun: (inputs: string[]) => void = () => undefined): {
  ort: OpenOptions["ort"];
  runs: string[];
  open: () => number;
} {
  const runs: string[] = [];
  let open = 0;
  const create = async (model: string, options?: object) => {
    const session = await ort.InferenceSession.create(model, options);
    open++;
    return {
      inputNames: session.inputNames,
      outputNames: session.outputNames,
      run: (feeds: ort.InferenceSession.OnnxValueMapType) => {
        runs.push(session.inputNames[0]);
        onRun([...session.inputNames]);
        return session.run(feeds);
      },
      release: async () => {
        open--;
        await session.release();
      },
    };
  };
  return { ort: { Tensor: ort.Tensor, InferenceSession: { create } }, runs, open: () => open };
}
