/** Draws on the server: a request, and events that tell how far it is. */

import { toBase64 } from "../../../src/base64.js";
import { dumpJson, type Json } from "../../../src/bundle/json.js";
import { AmusedEdgeError, CancelledError, DownloadError, ERRORS, type ErrorName } from "../../../src/errors.js";
import type { GreyImage, RgbImage } from "../../../src/pictures/image.js";
import type { GenerationOptions } from "../../../src/sampling/options.js";
import type { Task } from "../../../src/tasks/kinds.js";
import { encodeGrey, encodePng, parametersIn } from "../pictures/png.js";
import { bytesOf, decode } from "../pictures/read.js";
import type { BundleInfo } from "./bundles.js";
import type { Drawer, Drawn, EngineChoice, Watch } from "./draw.js";
import { events, type ServerEvent } from "./events.js";
import { manifestOf } from "./manifests.js";

export class ServerDrawer implements Drawer {
  async draw(
    bundle: BundleInfo,
    task: Task,
    options: GenerationOptions,
    engine: EngineChoice,
    watch: Watch,
    signal: AbortSignal,
  ): Promise<Drawn> {
    watch.onStatus("Asking the server");
    try {
      const steps = options.steps ?? (await manifestOf(bundle)).sampler.steps;
      const response = await fetch(new URL("api/generate", document.baseURI), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: dumpJson(body(bundle, task, options, previewsOf(steps, engine.previewEvery))),
        signal,
      });
      if (!response.ok || !response.body) {
        throw await refusal(response);
      }
      return await follow(events(response.body), watch);
    } catch (error) {
      if (signal.aborted) {
        throw new CancelledError("it was stopped", { cause: signal.reason });
      }
      throw error instanceof TypeError ? new DownloadError("the server does not answer any more") : error;
    }
  }

  async close(): Promise<void> {
    // the server closes what it opened
  }
}

async function follow(stream: AsyncIterable<ServerEvent>, watch: Watch): Promise<Drawn> {
  let began = performance.now();
  for await (const { name, data } of stream) {
    if (name === "queued") {
      watch.onStatus(Number(data.position) > 0 ? `Waiting: place ${data.position} in the queue` : "It is our turn");
      began = performance.now();
    } else if (name === "step") {
      const [step, steps] = [Number(data.step), Number(data.steps)];
      watch.onStatus(`Step ${step} of ${steps}`, step / steps);
      const image = typeof data.preview === "string" ? await decode(bytesOf(data.preview)) : undefined;
      watch.onPreview({ step, steps, image });
    } else if (name === "picture") {
      return finished(data, (performance.now() - began) / 1000);
    } else if (name === "error") {
      throw revivedError(String(data.type ?? ""), String(data.message ?? "the server gave no reason"));
    }
  }
  throw new DownloadError("the server ended without a picture; try again");
}

async function finished(data: ServerEvent["data"], seconds: number): Promise<Drawn> {
  const png = bytesOf(String(data.png));
  const parameters = (await parametersIn(png)) ?? ""; // those of the event have lost digits of large seeds
  const heat = typeof data.heatmap === "string" ? await decode(bytesOf(data.heatmap)) : undefined;
  const tokens = Array.isArray(data.tokens) ? Int32Array.from(data.tokens.flat(2)) : undefined;
  return { image: await decode(png), png, parameters, seconds, heat, tokens };
}

/** Return how many previews come after each of so many steps; the last step has none. */
export function previewsOf(steps: number, every: number): number {
  return every > 0 ? Math.max(0, Math.ceil(steps / every) - 1) : 0;
}

/** Return a request: what the parameters of a picture say, by their names there, and its pictures as PNG in base64. */
function body(bundle: BundleInfo, task: Task, options: GenerationOptions, previews: number): Json {
  const { seed, steps, guidanceScale, temperature, schedule, guidanceRamp, guidanceInterval, order } = options;
  const micro = task.microConditioning;
  const all: Record<string, unknown> = {
    bundle: bundle.id,
    task: task.kind,
    prompts: [...task.prompts],
    negative_prompts: [...task.negativePrompts],
    first_picture: task.firstPicture,
    previews: BigInt(previews),
    heatmap: true,
    seed: BigInt(seed ?? 0),
    steps: steps === undefined ? undefined : BigInt(steps),
    guidance_scale: guidanceScale,
    temperature: temperature === undefined || typeof temperature === "number" ? temperature : [...temperature],
    schedule,
    guidance_ramp: guidanceRamp,
    guidance_interval: guidanceInterval && [...guidanceInterval],
    order,
    micro_conditioning: micro && {
      crop_top: micro.cropTop,
      crop_left: micro.cropLeft,
      aesthetic_score: micro.aestheticScore,
    },
    ...ownFields(task),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Json;
}

function ownFields(task: Task): Record<string, unknown> {
  if (task.kind === "text_to_image") {
    return {};
  }
  const shared = { image: base64(task.images[0].picture), strength: task.strength, fit: task.fit };
  if (task.kind === "variation") {
    return shared;
  }
  return {
    ...shared,
    mask: base64(task.masks[0].picture),
    coverage: task.coverage,
    paste_back: task.pasteBack,
    feather: BigInt(task.feather),
  };
}

function base64(image: RgbImage | GreyImage): string {
  const colours = image.data.length > image.width * image.height;
  return toBase64(colours ? encodePng(image) : encodeGrey(image));
}

/** Return what the server says of a request that it did not take. */
async function refusal(response: Response): Promise<Error> {
  const answer = (await response.json().catch(() => ({}))) as { error?: { code?: string; message?: string } };
  const { code = "", message } = answer.error ?? {};
  return message ? revivedError(code, message) : new DownloadError(`the server answered ${response.status}`);
}

function revivedError(type: string, message: string): Error {
  const name = Object.hasOwn(ERRORS, type) ? (type as ErrorName) : undefined;
  return name ? new ERRORS[name](message) : new AmusedEdgeError(message);
}
