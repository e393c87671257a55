/** Pictures of the demo beside the kit's, step by step: near-ties are told from faults, as conformance/README.md says. */

import { existsSync } from "node:fs";
import * as node from "onnxruntime-node";
import * as web from "onnxruntime-web";
import {
  AmusedPipeline,
  inpainting,
  type OpenOptions,
  type PictureState,
  type Step,
  type Task,
  textToImage,
  variation,
} from "../../src/index.js";
import { FileSource } from "../../src/node/file-source.js";
import { DEMO, ROOT } from "./paths.js";
import { pictureOf } from "./pictures.js";
import type { Values, VectorSet } from "./vectors.js";

const MOST_NEAR = 0.1;
const OTHER_CODES = 0.02;
const CORNER = 4;

export type Engine = "node" | "wasm";

/** Return the folder of a recipe's bundle; undefined where it was not made. */
export function bundleOf(recipe: string): string | undefined {
  const folder = recipe === "w8" ? DEMO : `${ROOT}build/demo-${recipe}`;
  return existsSync(`${folder}/manifest.json`) ? folder : undefined;
}

/** Open a bundle with onnxruntime-node, or with onnxruntime-web's WebAssembly in Node. */
export function openWith(engine: Engine, folder: string, threads = 1): Promise<AmusedPipeline> {
  const source = new FileSource(folder);
  if (engine === "wasm") {
    web.env.wasm.numThreads = threads;
    Object.assign(source, { locate: () => undefined }); // it reads no files
  }
  const ort: OpenOptions["ort"] = engine === "wasm" ? web : node;
  return AmusedPipeline.open(source, { ort, ...(engine === "node" && { threads }) });
}

/** Run each step of a picture from what the vectors say of the one before. */
export async function checkPicture(
  pipeline: AmusedPipeline,
  set: VectorSet,
  place: number,
): Promise<{ found: string[]; near: number }> {
  const { given, expect } = set.cases[place];
  const task = taskOf(given);
  const { start } = expect;
  const [begun] = await pipeline.begin(task, optionsOf(given));
  const found = startDifferences(start, begun);
  const maskId = pipeline.manifest.geometry.maskTokenId;
  let tokens = Int32Array.from(start.tokens);
  let near = 0;
  let decisions = 0;
  for (const step of expect.steps) {
    const rows = [...tokens.keys()].filter((position) => tokens[position] === maskId);
    const drawn = await oneStep(pipeline, { ...begun, tokens, nextStep: step.step }, task);
    const seen = stepDifferences(step, rows, drawn, set.tolerance.margins.absolute);
    found.push(...seen.faults);
    near += seen.near;
    decisions += 2 * rows.length;
    const kept = new Set(step.kept);
    tokens = tokens.slice();
    rows.forEach((position, i) => {
      tokens[position] = kept.has(position) ? step.drawn[i] : maskId;
    });
  }
  if (near > MOST_NEAR * decisions) {
    found.push(`${near} of ${decisions} decisions are near-ties that went otherwise`);
  }
  const { data, width } = await pipeline.decode(tokens);
  const levels = set.tolerance.corner.absolute;
  for (let i = 0; i < 3 * CORNER * CORNER; i++) {
    const at = 3 * width * Math.floor(i / (3 * CORNER)) + (i % (3 * CORNER));
    if (Math.abs(data[at] - expect.corner[i]) > levels) {
      found.push(`corner[${i}] is ${data[at]}, not ${expect.corner[i]}`);
    }
  }
  return { found, near };
}

async function oneStep(pipeline: AmusedPipeline, state: PictureState, task: Task): Promise<Step> {
  for await (const step of pipeline.resume(state, task)) {
    return step;
  }
  throw new Error("the picture has no step to go");
}

function taskOf(given: Values): Task {
  const common = { negativePrompts: given.negative_prompt, firstPicture: BigInt(given.picture) };
  if (given.kind === "text_to_image") {
    return textToImage(given.prompt, common);
  }
  const own = { ...common, strength: given.strength };
  return given.kind === "variation"
    ? variation(given.prompt, pictureOf(given.image), own)
    : inpainting(given.prompt, pictureOf(given.image), pictureOf(given.mask), own);
}

function optionsOf({ seed, options }: Values): Values {
  const camel = (name: string): string => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  return {
    seed: BigInt(seed),
    ...Object.fromEntries(Object.entries(options).map(([name, value]) => [camel(name), value])),
  };
}

function startDifferences(expected: Values, found: PictureState): string[] {
  const lines: string[] = [];
  if (found.nextStep !== expected.first_step) {
    lines.push(`start.first_step is ${found.nextStep}`);
  }
  if (Math.fround(found.startingMaskRatio) !== Math.fround(expected.starting_mask_ratio)) {
    lines.push(`start.starting_mask_ratio is ${found.startingMaskRatio}`);
  }
  const different = found.tokens.filter((token, position) => token !== expected.tokens[position]).length;
  if (different > OTHER_CODES * found.tokens.length) {
    lines.push(`start.tokens differs at ${different} positions`);
  }
  return lines;
}

function stepDifferences(
  step: Values,
  rows: number[],
  found: Step,
  nearest: number,
): { faults: string[]; near: number } {
  const name = `steps[${step.step}]`;
  const other = rows.map((position, i) => found.predicted[0][position] !== step.drawn[i]);
  const faults = rows
    .filter((_, i) => other[i] && step.draw_margins[i] > nearest)
    .map((position) => `${name} draws another token at position ${position}`);
  const kept = new Set(step.kept);
  const moved = rows.map((position) => kept.has(position) === Boolean(found.mask[0][position]));
  const far = rows.filter((_, i) => moved[i] && step.keep_margins[i] > nearest);
  const others = other.filter(Boolean).length;
  if (far.length > 2 * others) {
    faults.push(`${name} masks other positions: ${far}`);
  }
  return { faults, near: others + moved.filter(Boolean).length };
}
