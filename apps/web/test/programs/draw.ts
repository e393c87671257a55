/**
 * Draws pictures for tests in Python: node draw.js ENGINE BUNDLE < request.json > answer.json
 *
 * ENGINE is "node", or "wasm" with "wasm:2" for two threads. A request is {"pictures": [{prompt, seed, steps?}]}, or
 * {"resume": [text of a state, or [text, step before which to stop]]}; an answer has the tokens after every step of each,
 * and more.
 */

import { readFileSync } from "node:fs";
import { argv, stdin, stdout } from "node:process";
import {
  AmusedPipeline,
  type OpenOptions,
  type PictureState,
  parametersToText,
  stateAfter,
  stateFromText,
  stateToText,
} from "../../src/index.js";
import { FileSource } from "../../src/node/file-source.js";

const [engine, folder] = argv.slice(2);
const request = JSON.parse(readFileSync(stdin.fd, "utf8"));

async function engineOf(name: string): Promise<Pick<OpenOptions, "ort" | "threads">> {
  const [kind, threads = "1"] = name.split(":");
  if (kind === "node") {
    return { ort: await import("onnxruntime-node"), threads: Number(threads) };
  }
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = Number(threads);
  return { ort };
}

const source = new FileSource(folder);
if (!engine.startsWith("node")) {
  Object.assign(source, { locate: () => undefined }); // onnxruntime-web reads no files
}
const pipeline = await AmusedPipeline.open(source, await engineOf(engine));
const answer: object[] = [];
for (const entry of request.resume ?? []) {
  const [text, stop] = [entry].flat();
  answer.push(await drawn(stateFromText(text), stop));
}
for (const { prompt, stop, ...options } of request.pictures ?? []) {
  const seed = BigInt(options.seed ?? 0);
  const [state] = await pipeline.begin(prompt, { ...options, seed });
  answer.push(await drawn(state, stop));
}
const golden = request.golden ? await pipeline.checkGolden() : undefined;
await pipeline.close();
stdout.write(JSON.stringify({ answer, golden }));

/** Draw a picture from a state on, or to before a step. */
async function drawn(begun: PictureState, stop = Number.POSITIVE_INFINITY): Promise<object> {
  const start = process.cpuUsage();
  let state = begun;
  const history: number[][] = [];
  const steps = pipeline.resume(state);
  while (state.nextStep < Math.min(stop, state.parameters.settings.steps)) {
    const { value } = await steps.next();
    if (!value) {
      break;
    }
    state = stateAfter(state, value);
    history.push([...state.tokens]);
  }
  await steps.return();
  const finished = state.nextStep === state.parameters.settings.steps;
  const image = finished ? [...(await pipeline.finish(state)).image.data] : [];
  const { user, system } = process.cpuUsage(start);
  const milliseconds = (user + system) / 1000; // of the processor: others may be at work beside a test
  return { history, image, state: stateToText(state), parameters: parametersToText(state.parameters), milliseconds };
}
