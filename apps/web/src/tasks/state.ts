/** The state of one picture between two steps: a few KB of JSON that go on to the same picture in another process. */

import { fromBase64, toBase64 } from "../base64.js";
import { dumpJson, type Json, parseJson } from "../bundle/json.js";
import { Fields } from "../bundle/json-fields.js";
import { sha256 } from "../bundle/sha256.js";
import { StateError } from "../errors.js";
import type { Step } from "../sampling/mask-predict.js";
import { ascii } from "../utf8.js";
import { type PictureParameters, parametersFromJson, parametersToJson } from "./parameters.js";
import { deflate, inflate } from "./zlib.js";

const VERSION = 1;
const FORMAT = "amused-edge state";
const LARGEST_SIDE = 4096;
const VALUE_BYTES = 4;

/** All that is needed to go on with a picture, but for pictures and embeddings that the task was given. */
export interface PictureState {
  readonly parameters: PictureParameters;
  /** The step that comes next, from 0; the number of steps when the picture is finished. */
  readonly nextStep: number;
  readonly gridHeight: number;
  readonly gridWidth: number;
  /** As in `Step`. */
  readonly tokens: Int32Array;
  readonly probability: Float32Array;
  /** Share of the grid that the schedule starts from, in (0, 1]. */
  readonly startingMaskRatio: number;
}

/** Return the state after a step, in which the picture has this place. */
export function stateAfter(state: PictureState, step: Step, picture = 0): PictureState {
  return {
    ...state,
    nextStep: step.index + 1,
    tokens: step.tokens[picture],
    probability: step.probability[picture],
  };
}

/** Return a state as text: JSON with a hash of itself, which Python reads too. */
export function stateToText(state: PictureState): string {
  const content = {
    format: FORMAT,
    version: BigInt(VERSION),
    parameters: parametersToJson(state.parameters),
    next_step: BigInt(state.nextStep),
    starting_mask_ratio: state.startingMaskRatio,
    grid: [BigInt(state.gridHeight), BigInt(state.gridWidth)],
    tokens: packed(state.tokens, (view, at, value) => view.setInt32(at, value, true)),
    probability: packed(state.probability, (view, at, value) => view.setFloat32(at, value, true)),
  };
  return dumpJson({ ...content, sha256: hashOf(content) });
}

/** Read what `stateToText`, here or in Python, wrote; throws `StateError` if it is anything else. */
export function stateFromText(text: string): PictureState {
  let content: Json;
  try {
    content = parseJson(text, true);
  } catch (error) {
    throw damaged((error as Error).message);
  }
  const values = new Fields(content, "state", "it is damaged", damaged);
  if (values.get("format", "string") !== FORMAT || values.get("version", "int") !== VERSION) {
    throw new StateError("this is no state, or one of another version; use the amused-edge that wrote it");
  }
  const { sha256: hash, ...rest } = content as { [name: string]: Json };
  if (hash !== hashOf(rest)) {
    throw new StateError("the state is damaged: its hash does not fit; begin the picture again");
  }
  return read(values);
}

/** Return the hash of a state's content: of its JSON with names in order, as Python writes it. */
export function hashOf(content: { [name: string]: Json }): string {
  return sha256(ascii(dumpJson(content, true)));
}

function read(values: Fields): PictureState {
  const parameters = parametersFromJson(values.get("parameters", "object"));
  const grid = values.values("grid", "int");
  if (grid.length !== 2 || !grid.every((side) => side >= 1 && side <= LARGEST_SIDE)) {
    throw new StateError(`the state's grid is ${grid}; begin the picture again`);
  }
  const [gridHeight, gridWidth] = grid;
  const count = gridHeight * gridWidth;
  const nextStep = values.get("next_step", "int");
  const startingMaskRatio = values.get("starting_mask_ratio", "float");
  const { steps } = parameters.settings;
  if (!(nextStep >= 0 && nextStep <= steps && startingMaskRatio > 0 && startingMaskRatio <= 1)) {
    throw new StateError(`the state stands before step ${nextStep} of ${steps}, ratio ${startingMaskRatio}`);
  }
  const bits = unpacked(values.get("probability", "string"), count);
  const probability = Float32Array.from({ length: count }, (_, i) => bits.getFloat32(VALUE_BYTES * i, true));
  if (!probability.every((value) => value >= 0 && value <= 1)) {
    throw new StateError("the state's probabilities are not within 0 to 1; begin the picture again");
  }
  const ids = unpacked(values.get("tokens", "string"), count);
  const tokens = Int32Array.from({ length: count }, (_, i) => ids.getInt32(VALUE_BYTES * i, true));
  return { parameters, nextStep, gridHeight, gridWidth, tokens, probability, startingMaskRatio };
}

function damaged(why: string): StateError {
  return new StateError(`the state is damaged (${why}); begin the picture again`);
}

/** Return values as bytes, the least first, compressed. */
function packed(values: Int32Array | Float32Array, write: (view: DataView, at: number, value: number) => void): string {
  const view = new DataView(new ArrayBuffer(VALUE_BYTES * values.length));
  values.forEach((value, i) => {
    write(view, VALUE_BYTES * i, value);
  });
  return toBase64(deflate(new Uint8Array(view.buffer)));
}

function unpacked(text: string, count: number): DataView {
  try {
    return new DataView(inflate(fromBase64(text), VALUE_BYTES * count).buffer);
  } catch (error) {
    throw damaged((error as Error).message);
  }
}
