/** Draws in this page: bundles opened in workers, as many at once as memory allows. */

import { CancelledError, type ErrorName, GraphError } from "../../../src/errors.js";
import type { GenerationOptions } from "../../../src/sampling/options.js";
import type { Task } from "../../../src/tasks/kinds.js";
import { parametersToText } from "../../../src/tasks/parameters.js";
import { stateAfter } from "../../../src/tasks/state.js";
import { memoryNeeds, openUrl, type RemotePipeline, type UrlOptions } from "../../../src/web/index.js";
import { megabytes } from "../page/words.js";
import { encodePng } from "../pictures/png.js";
import type { BundleInfo } from "./bundles.js";
import { type Drawer, type Drawn, type EngineChoice, imageData, type Watch } from "./draw.js";
import { folderOf, manifestOf } from "./manifests.js";
import { defaultThreads, memoryBudget } from "./surroundings.js";

/** Errors that a second attempt with one thread may mend. */
const OF_THREADS: readonly ErrorName[] = ["GraphError", "ProviderError"];

interface Opened {
  readonly key: string;
  readonly pipeline: RemotePipeline;
  readonly bytes: number;
}

export class PageDrawer implements Drawer {
  /** The one that was used last stands last. */
  #opened: Opened[] = [];

  async draw(
    bundle: BundleInfo,
    task: Task,
    options: GenerationOptions,
    engine: EngineChoice,
    watch: Watch,
    signal: AbortSignal,
  ): Promise<Drawn> {
    const pipeline = await this.#open(bundle, engine, watch, signal);
    watch.onStatus("Reading the words");
    try {
      return await drawOne(pipeline, task, options, engine.previewEvery, watch, signal);
    } catch (error) {
      if (error instanceof GraphError) {
        await this.#drop((one) => one.pipeline === pipeline); // its worker may be gone
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#drop(() => true);
  }

  async #open(bundle: BundleInfo, engine: EngineChoice, watch: Watch, signal: AbortSignal): Promise<RemotePipeline> {
    const manifest = await manifestOf(bundle);
    const budget = memoryBudget();
    const keepGraphs = engine.lowMemory === undefined ? memoryNeeds(manifest, true).peak <= budget : !engine.lowMemory;
    const threads = engine.threads ?? defaultThreads();
    const key = [bundle.id, engine.provider, threads, keepGraphs].join(" ");
    const found = this.#opened.find((one) => one.key === key);
    if (found) {
      this.#opened = [...this.#opened.filter((one) => one !== found), found];
      return found.pipeline;
    }
    const { peak: bytes } = memoryNeeds(manifest, keepGraphs);
    await this.#drop((one) => one.key.startsWith(`${bundle.id} `)); // with other settings
    while (this.#opened.length && bytes + this.#opened.reduce((sum, one) => sum + one.bytes, 0) > budget) {
      const [oldest] = this.#opened;
      await this.#drop((one) => one === oldest);
    }
    const pipeline = await openWithFallback(bundle, { ...engine, threads }, keepGraphs, watch, signal);
    this.#opened.push({ key, pipeline, bytes });
    return pipeline;
  }

  async #drop(which: (one: Opened) => boolean): Promise<void> {
    const gone = this.#opened.filter(which);
    this.#opened = this.#opened.filter((one) => !which(one));
    for (const { pipeline } of gone) {
      await pipeline.close().catch(() => undefined); // a worker that failed cannot be asked to close
    }
  }
}

/** Open a bundle; if its threads fail, as they are said to on iOS, with one. */
async function openWithFallback(
  bundle: BundleInfo,
  engine: EngineChoice,
  keepGraphs: boolean,
  watch: Watch,
  signal: AbortSignal,
): Promise<RemotePipeline> {
  try {
    return await open(bundle, engine, keepGraphs, watch, signal);
  } catch (error) {
    const threaded = engine.threads !== 1 && engine.provider === "wasm";
    if (!threaded || !(error instanceof Error) || !OF_THREADS.some((name) => name === error.name)) {
      throw error;
    }
    watch.onWarning(`It did not work with several threads (${error.message}); it goes on with one.`);
    return open(bundle, { ...engine, threads: 1 }, keepGraphs, watch, signal);
  }
}

/** Open a bundle in a worker of its own. */
export function open(
  bundle: BundleInfo,
  engine: Pick<EngineChoice, "provider" | "threads">,
  keepGraphs: boolean,
  watch: Pick<Watch, "onStatus" | "onWarning">,
  signal: AbortSignal,
  worker: Worker = new Worker(new URL("worker.js", document.baseURI), { type: "module" }),
  more: Pick<UrlOptions, "checkGolden" | "rememberedPrompts"> = {},
): Promise<RemotePipeline> {
  watch.onStatus("Opening the model");
  return openUrl(folderOf(bundle), {
    ...more,
    ort: new URL("ort/", document.baseURI).href,
    worker,
    provider: engine.provider,
    ...(engine.threads !== undefined && { threads: engine.threads }),
    keepGraphs,
    signal,
    onWarning: watch.onWarning,
    onProgress: ({ stage, loaded, total }) => {
      if (stage === "check") {
        watch.onStatus("Checking once that this device computes rightly");
      } else {
        watch.onStatus(`Fetching the model: ${megabytes(loaded)} of ${megabytes(total)}`, loaded / total);
      }
    },
  });
}

async function drawOne(
  pipeline: RemotePipeline,
  task: Task,
  options: GenerationOptions,
  previewEvery: number,
  watch: Watch,
  signal: AbortSignal,
): Promise<Drawn> {
  const began = performance.now();
  const { gridHeight: rows, gridWidth: columns } = pipeline.manifest.geometry;
  const grid = { rows, columns };
  let [state] = await pipeline.begin(task, { ...options, signal });
  for await (const step of pipeline.resume(state, task, { signal })) {
    state = stateAfter(state, step);
    const done = step.index + 1;
    const wanted = previewEvery > 0 && done < step.steps && done % previewEvery === 0;
    const [preview] = wanted ? await pipeline.preview(step, { signal }) : [];
    watch.onStatus(`Step ${done} of ${step.steps}`, done / step.steps);
    watch.onPreview({
      step: done,
      steps: step.steps,
      image: preview && imageData(preview),
      mask: step.mask[0],
      probability: step.probability[0],
      grid,
    });
  }
  if (signal.aborted) {
    throw new CancelledError("it was stopped", { cause: signal.reason });
  }
  const { image, tokens, probability, parameters } = await pipeline.finish(state, task, { signal });
  const seconds = (performance.now() - began) / 1000;
  const text = parametersToText(parameters);
  return {
    image: imageData(image),
    png: encodePng(image, text),
    parameters: text,
    tokens,
    probability,
    grid,
    seconds,
  };
}
