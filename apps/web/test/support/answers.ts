/** What this runtime answers to each set of conformance vectors. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";
import { openBundle, readText, verify } from "../../src/bundle/bundle.js";
import { readGolden } from "../../src/bundle/golden.js";
import { dumpJson, type Json, parseJson } from "../../src/bundle/json.js";
import { GOLDEN_NAME, ROLES, TOKENIZER_NAME } from "../../src/bundle/manifest.js";
import { sha256 } from "../../src/bundle/sha256.js";
import { inpaintingStart, type Start, variationStart } from "../../src/drawing/starts.js";
import { PromptTokenizer } from "../../src/drawing/tokenizer.js";
import { loadGraph } from "../../src/engines/onnx-session.js";
import { engineOptions } from "../../src/engines/options.js";
import { AmusedEdgeError, MemorySource, outpainting } from "../../src/index.js";
import { pasteBack, pixelMask, tokenMask } from "../../src/pictures/masks.js";
import { fitImage, readImage, readMask } from "../../src/pictures/sources.js";
import { halves, keysOf, philoxOfScript, philoxOfWebAssembly, TOGETHER } from "../../src/sampling/blocks.js";
import { gumbel } from "../../src/sampling/gumbel.js";
import { haltonOrder } from "../../src/sampling/halton.js";
import { drawStep, type GuidedLogits, type LoopRules, type LoopState } from "../../src/sampling/mask-predict.js";
import { checkedSettings, guidanceAt as guidanceOf, type SamplerSettings } from "../../src/sampling/options.js";
import { PURPOSE, uniforms } from "../../src/sampling/philox.js";
import * as sampler from "../../src/sampling/sampler.js";
import { guidanceAt, maskLength, maskRatio, temperatureAt } from "../../src/sampling/schedule.js";
import { hashed } from "../../src/tasks/given.js";
import { parametersToJson } from "../../src/tasks/parameters.js";
import { hashOf, stateFromText } from "../../src/tasks/state.js";
import { edited, type Files, readFiles } from "./edits.js";
import { DEMO } from "./paths.js";
import { pictureOf } from "./pictures.js";
import type { Answer, Values } from "./vectors.js";

const MASK = 9999;
const UNIT = 2 ** -24;

const floats = (values: (number | null)[]): Float32Array =>
  Float32Array.from(values, (value) => value ?? Number.POSITIVE_INFINITY);
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const places = (mask: Iterable<number | boolean>): number[] =>
  [...mask].flatMap((set, position) => (set ? [position] : []));
const stream = (given: Values) => ({
  seed: BigInt(given.seed),
  picture: BigInt(given.picture),
  step: Number(given.step ?? 0),
  purpose: given.purpose,
});

/** Blocks of noise that a test chose, in place of a stream's. */
function chosenNoise(numerators: number[]): Parameters<typeof sampler.drawCode>[2] {
  return {
    blocks: (begin, places, count) =>
      Uint32Array.from(range(8 * count), (i) => {
        const place = 8 * (begin + places[Math.floor(i / 8)]) + (i % 8);
        return (((numerators[place] ?? 1) - 1) / 2) << 9;
      }),
  };
}

const philoxWords: Answer = (given) => {
  const pair = (text: string, more = 0n) => halves((BigInt(text) + more) & (2n ** 64n - 1n));
  const counters = new Int32Array(8 * TOGETHER);
  counters.set([pair(given.block, 1n), pair(given.picture), pair(given.step), pair(given.purpose)].flat());
  const keys = keysOf(BigInt(given.seed));
  const [ours, theirs] = [philoxOfScript(), philoxOfWebAssembly() ?? assert.fail()].map((philox) => {
    const words = Array.from(philox(counters, keys, 1).subarray(0, 8), (half) => half.toString(16).padStart(8, "0"));
    return range(4).map((i) => words[2 * i + 1] + words[2 * i]);
  });
  assert.deepEqual(ours, theirs);
  return { words: ours };
};

const draws: Answer = ({ logits, numerators }) => {
  const tokens = logits.map((given: number[], i: number) => {
    const row = floats(given);
    const plain = sampler.drawPlainly(row, floats(numerators[i].map((n: number) => n * UNIT)));
    const fast = sampler.drawCode(row, sampler.softmax(row, 0), chosenNoise(numerators[i]), 0);
    return fast === plain ? fast : [fast, plain];
  });
  return { tokens };
};

const settingsOf = (settings: Values): SamplerSettings =>
  checkedSettings({
    steps: settings.steps,
    guidanceScale: settings.guidance_scale,
    temperature: settings.temperature,
    schedule: settings.schedule,
    guidanceRamp: settings.guidance_ramp,
    guidanceInterval: settings.guidance_interval,
    order: settings.order,
  });

/** Write a row of the table of logits that a rule describes. */
function tableRow(rule: Values, step: number, position: number, row: Float32Array): void {
  if ("constant" in rule) {
    row.fill(rule.constant);
    return;
  }
  const name = { seed: BigInt(rule.seed), picture: BigInt(rule.picture), step, purpose: PURPOSE.tokens };
  uniforms(row.length, name, position * row.length).forEach((u, code) => {
    row[code] = (Math.floor(u / UNIT / 2 ** rule.drop) - 2 ** (23 - rule.drop)) / 2 ** (20 - rule.drop);
  });
}

function loop(given: Values, most: number): Values[] {
  const settings = settingsOf(given.settings);
  const [gridHeight, gridWidth] = given.grid;
  const codebookSize = given.codebook_size;
  const maskTokenId = given.mask_token_id;
  const rules: LoopRules = { seed: BigInt(given.seed), settings, gridHeight, gridWidth, codebookSize, maskTokenId };
  let state: LoopState = {
    tokens: Int32Array.from(given.tokens),
    probability: new Float32Array(given.tokens.length).fill(1),
    picture: BigInt(given.picture),
    startingMaskRatio: given.starting_mask_ratio,
  };
  const steps: Values[] = [];
  for (let step = given.first_step; step < settings.steps && steps.length < most; step++) {
    const scale = guidanceOf(settings, step);
    const u = new Float32Array(codebookSize);
    const c = new Float32Array(codebookSize);
    const logits: GuidedLogits = (position, row) => {
      tableRow(given.logits.conditional, step, position, c);
      row.set(c);
      if (scale > 1) {
        tableRow(given.logits.unconditional, step, position, u);
        sampler.guide(u, c, 0, scale, row);
      }
    };
    const drawn = drawStep(logits, state, step, rules);
    steps.push({ step, masked: places(drawn.mask), ...drawn });
    state = { ...state, ...drawn };
  }
  return steps;
}

const tokenizers = new Map<string, PromptTokenizer>();

function tokenizerOf(edits: Values[], length: number): PromptTokenizer {
  const key = JSON.stringify([edits, length]);
  const known = tokenizers.get(key);
  if (known) {
    return known;
  }
  const content = JSON.parse(readFileSync(`${DEMO}/tokenizer.json`, "utf8"));
  for (const { path, value } of edits) {
    const parent = path.slice(0, -1).reduce((place: Values, name: string) => place[name], content);
    parent[path.at(-1)] = value;
  }
  const made = new PromptTokenizer(JSON.stringify(content), length);
  tokenizers.set(key, made);
  return made;
}

const tokenizerIds: Answer = ({ edits, length, text }) => {
  const pad = edits.find((edit: Values) => edit.path.at(-1) === "pad_id")?.value ?? 1113;
  const { ids, cut } = tokenizerOf(edits, length).encode(text);
  const shown = [...ids];
  while (shown.length > 1 && shown.at(-1) === pad && shown.at(-2) === pad) {
    shown.pop();
  }
  return { ids: shown, pad_id: pad, cut: cut !== undefined };
};

const told = ({ firstStep, tokens, startingMaskRatio }: Start): Values => ({
  first_step: firstStep,
  masked: places(tokens.map((token) => Number(token === MASK))),
  starting_mask_ratio: startingMaskRatio,
});

const startSettings = (given: Values): SamplerSettings =>
  settingsOf({
    steps: given.steps,
    schedule: given.schedule ?? "linear",
    guidance_scale: 10,
    temperature: [2, 0],
    guidance_ramp: "constant",
    guidance_interval: [0, 1],
    order: "confidence",
  });

const plain = (value: Json): unknown => JSON.parse(dumpJson(value));

const states: Answer = ({ text }) => {
  const state = stateFromText(text);
  const parameters = plain(parametersToJson(state.parameters)) as Values;
  return {
    bundle: parameters.bundle,
    task: { ...parameters.task, picture: String(state.parameters.task.picture) },
    settings: parameters.settings,
    seed: String(state.parameters.seed),
    next_step: state.nextStep,
    starting_mask_ratio: state.startingMaskRatio,
    grid: [state.gridHeight, state.gridWidth],
    tokens: state.tokens,
    probability: state.probability,
  };
};

const stateHashes: Answer = ({ text }) => {
  const { sha256: _, ...content } = parseJson(text) as { [name: string]: Json };
  const written = dumpJson(content, true);
  const hash = hashOf(content);
  return { hashed: written, sha256: sha256(new TextEncoder().encode(written)) === hash ? hash : "not of the text" };
};

let demoFiles: Files | undefined;

const damagedBundles: Answer = async ({ edits, stage, says }) => {
  demoFiles ??= readFiles(DEMO);
  try {
    await openAsFarAs(new MemorySource(edited(demoFiles, edits)), stage);
    return { opens: true };
  } catch (error) {
    if (!(error instanceof AmusedEdgeError)) {
      throw error;
    }
    return { error: error.name, named: error.message.replaceAll("\\\\", "\\").includes(says) };
  }
};

/** Open a bundle as far as a stage: its files are there ("open"), unchanged ("verify"), and make sense ("load"). */
async function openAsFarAs(source: MemorySource, stage: string): Promise<void> {
  const bundle = await openBundle(source);
  if (stage === "open") {
    return;
  }
  await verify(bundle);
  if (stage === "verify") {
    return;
  }
  new PromptTokenizer(await readText(bundle, TOKENIZER_NAME), bundle.manifest.geometry.textLength);
  readGolden(await readText(bundle, GOLDEN_NAME));
  for (const role of ROLES) {
    const graph = await loadGraph(bundle, role, ort, engineOptions({ threads: 1 }));
    await graph.close();
  }
}

export const ANSWERS: Readonly<Record<string, Answer>> = {
  "philox-words": philoxWords,
  uniforms: (given) => ({
    numerators: Array.from(uniforms(given.count, stream(given), given.first), (u) => u / UNIT),
  }),
  gumbel: ({ numerators }) => ({ gumbel: numerators.map((n: number) => gumbel(n * UNIT)) }),
  "mask-ratios": ({ schedule, steps }) => ({ ratios: range(steps).map((step) => maskRatio(schedule, step, steps)) }),
  "mask-lengths": (given) => {
    let unknown = given.unknown;
    const lengths = range(given.steps - 1).map((step) => {
      unknown = maskLength(
        given.schedule,
        step,
        given.steps,
        given.sequence_length,
        unknown,
        given.starting_mask_ratio,
      );
      return unknown;
    });
    return { lengths };
  },
  temperatures: ({ temperature, steps }) => ({
    temperatures: range(steps).map((step) => temperatureAt(temperature, step, steps)),
  }),
  "guidance-scales": ({ guidance_scale, guidance_ramp, guidance_interval, steps }) => ({
    scales: range(steps).map((step) => guidanceAt(guidance_scale, guidance_ramp, guidance_interval, step, steps)),
  }),
  "halton-orders": ({ grid }) => ({ order: haltonOrder(grid[0], grid[1]) }),
  "halton-starts": (given) => {
    const [u] = uniforms(1, stream({ ...given, purpose: PURPOSE.order }));
    return { start: Math.floor(u * given.positions) };
  },
  "guided-logits": ({ unconditional, conditional, guidance_scale }) => ({
    logits: unconditional.map((values: number[], i: number) => {
      const row = new Float32Array(values.length);
      sampler.guide(floats(values), floats(conditional[i]), 0, guidance_scale, row);
      return row;
    }),
  }),
  draws,
  "log-probabilities": ({ logits, tokens }) => ({
    log_probabilities: logits.map((given: number[], i: number) => {
      const row = floats(given);
      return sampler.logProbability(row, sampler.softmax(row, 0), tokens[i]);
    }),
  }),
  confidences: ({ log_probabilities, numerators, temperature, rows }) => ({
    confidences: sampler.confidences(
      floats(log_probabilities),
      rows,
      floats(numerators.map((n: number) => n * UNIT)),
      Math.fround(temperature),
    ),
  }),
  "order-confidences": ({ grid, start, rows }) => ({
    confidences: sampler.orderConfidences(haltonOrder(grid[0], grid[1]), start, rows),
  }),
  remasks: ({ confidences, mask_length }) => ({ masked: places(sampler.remask(floats(confidences), mask_length)) }),
  loops: (given) => ({
    steps: loop(given, Number.POSITIVE_INFINITY).map(({ step, predicted, masked, confidence, probability }) => ({
      step,
      predicted,
      masked,
      confidence,
      probability,
    })),
  }),
  "full-steps": (given) => {
    const [{ step, predicted, masked }] = loop(given, 1);
    return { step, predicted, masked };
  },
  "tokenizer-ids": tokenizerIds,
  "variation-starts": (given) => {
    const tokens = Int32Array.from(range(given.grid[0] * given.grid[1]));
    const [seed, picture] = [BigInt(given.seed), BigInt(given.picture)];
    return told(variationStart(tokens, given.strength, startSettings(given), MASK, seed, picture));
  },
  "inpainting-starts": async (given) => {
    const tokens = Int32Array.from(range(given.grid[0] * given.grid[1]));
    const repaint = Uint8Array.from(tokens, (token) => Number(given.repaint.includes(token)));
    return told(await inpaintingStart(async () => tokens, repaint, given.strength, startSettings(given), MASK));
  },
  "token-masks": ({ mask, grid, coverage }) => ({
    repaint: places(tokenMask(readMask(pictureOf(mask)), grid[0], grid[1], coverage)),
  }),
  "pasted-pictures": ({ drawn, original, mask, feather }) => {
    const [one, other] = [readImage(pictureOf(drawn)), readImage(pictureOf(original))];
    return { pixels: pasteBack(one, other, pixelMask(readMask(pictureOf(mask))), feather).data };
  },
  "fitted-pictures": ({ picture, size, fit }) => {
    const source = pictureOf(picture);
    const grey = source.data.length === source.width * source.height;
    return { pixels: fitImage(grey ? readMask(source) : readImage(source), size[1], size[0], fit).data };
  },
  "outpainting-canvases": ({ picture, ...margins }) => {
    const task = outpainting("", pictureOf(picture), margins);
    const canvas = task.images[0].picture;
    return {
      size: [canvas.height, canvas.width],
      pixels: canvas.data,
      mask: task.masks[0].picture.data,
      fit: task.fit,
      coverage: task.coverage,
    };
  },
  "picture-hashes": ({ picture }) => ({
    sha256:
      picture.channels === 1
        ? hashed(readMask(pictureOf(picture)), "L").sha256
        : hashed(readImage(pictureOf(picture)), "RGB").sha256,
  }),
  states,
  "state-hashes": stateHashes,
  "damaged-states": states,
  "damaged-bundles": damagedBundles,
};
