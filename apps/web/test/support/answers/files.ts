/** Answers to sets of files: tokenizers, states of pictures, and bundles, whole or damaged. */

import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";
import { openBundle, readText, verify } from "../../../src/bundle/bundle.js";
import { readGolden } from "../../../src/bundle/golden.js";
import { dumpJson, type Json, parseJson } from "../../../src/bundle/json.js";
import { GOLDEN_NAME, ROLES, TOKENIZER_NAME } from "../../../src/bundle/manifest.js";
import { sha256 } from "../../../src/bundle/sha256.js";
import { PromptTokenizer } from "../../../src/drawing/tokenizer.js";
import { loadGraph } from "../../../src/engines/onnx-session.js";
import { engineOptions } from "../../../src/engines/options.js";
import { AmusedEdgeError, MemorySource } from "../../../src/index.js";
import { parametersToJson } from "../../../src/tasks/parameters.js";
import { hashOf, stateFromText } from "../../../src/tasks/state.js";
import { edited, type Files, readFiles } from "../edits.js";
import { DEMO } from "../paths.js";
import type { Answer, Values } from "../vectors.js";

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

export const FILES: Readonly<Record<string, Answer>> = {
  "tokenizer-ids": tokenizerIds,
  states,
  "state-hashes": stateHashes,
  "damaged-states": states,
  "damaged-bundles": damagedBundles,
};
