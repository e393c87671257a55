/**
 * The mask-predict loop: draw every masked token, keep the confident ones, mask the rest again, repeat.
 *
 * It knows tokens and logits; not prompts, graphs or pixels.
 */

import { GenerationError } from "../errors.js";
import { haltonOrder } from "./halton.js";
import type { SamplerSettings } from "./options.js";
import { PURPOSE, Stream, uniforms } from "./philox.js";
import * as sampler from "./sampler.js";
import { maskLength, temperatureAt } from "./schedule.js";

/** State after one step of several pictures side by side: one array of h * w values, row by row, for each. */
export interface Step {
  /** This step, from 0, and how many there are. */
  readonly index: number;
  readonly steps: number;
  /** The mask id where `mask` is set. */
  readonly tokens: readonly Int32Array[];
  /** The same without a mask, every position as drawn or known. */
  readonly predicted: readonly Int32Array[];
  /** 1 where masked again after this step; nowhere after the last. */
  readonly mask: readonly Uint8Array[];
  /**
   * What the least of were masked again: log-probability of the drawn token plus its noise, or the place in the Halton
   * order, negative; +Infinity where the token was known before.
   */
  readonly confidence: readonly Float32Array[];
  /** What softmax(logits) gave each token when it was drawn; 1 for those given at the start. */
  readonly probability: readonly Float32Array[];
}

/** What a denoiser says of one grid: writes the guided logits of a position to `row`. */
export type GuidedLogits = (position: number, row: Float32Array) => void;

/** Runs the denoiser for the picture at this place of the batch, before a step, on its tokens. */
export type Denoise = (picture: number, step: number, tokens: Int32Array) => Promise<GuidedLogits>;

/** One picture in the loop. */
export interface LoopState {
  readonly tokens: Int32Array;
  readonly probability: Float32Array;
  /** Index of its random stream. */
  readonly picture: bigint;
  /** Share of the grid that the schedule starts from, in (0, 1]. */
  readonly startingMaskRatio: number;
}

/** What all pictures and steps share. */
export interface LoopRules {
  readonly seed: bigint;
  readonly settings: SamplerSettings;
  readonly gridHeight: number;
  readonly gridWidth: number;
  readonly codebookSize: number;
  readonly maskTokenId: number;
}

/**
 * Run the loop, yielding a `Step` after each; the caller may stop at any time.
 *
 * It goes on from any step exactly as if it had not stopped: with the step's tokens and probabilities, and `firstStep`
 * after it.
 */
export async function* maskPredict(
  denoise: Denoise,
  begun: readonly LoopState[],
  rules: LoopRules,
  firstStep = 0,
): AsyncGenerator<Step, void, undefined> {
  const { steps } = rules.settings;
  const states = [...begun];
  for (let index = firstStep; index < steps; index++) {
    const drawn: Drawn[] = [];
    for (const [place, state] of states.entries()) {
      const known = state.tokens.every((token) => token !== rules.maskTokenId);
      const logits = known ? undefined : await denoise(place, index, state.tokens);
      const next = drawStep(logits, state, index, rules);
      drawn.push(next);
      states[place] = { ...state, tokens: next.tokens, probability: next.probability };
    }
    yield {
      index,
      steps,
      tokens: drawn.map((one) => one.tokens),
      predicted: drawn.map((one) => one.predicted),
      mask: drawn.map((one) => one.mask),
      confidence: drawn.map((one) => one.confidence),
      probability: drawn.map((one) => one.probability),
    };
  }
}

/** One picture after a step, as in `Step`. */
export interface Drawn {
  readonly tokens: Int32Array;
  readonly predicted: Int32Array;
  readonly mask: Uint8Array;
  readonly confidence: Float32Array;
  readonly probability: Float32Array;
}

/**
 * Draw one step of one picture.
 *
 * @param logits undefined where no token is masked
 */
export function drawStep(logits: GuidedLogits | undefined, state: LoopState, index: number, rules: LoopRules): Drawn {
  const { settings, maskTokenId } = rules;
  const positions = state.tokens.length;
  const predicted = state.tokens.slice();
  const probability = state.probability.slice();
  const rows = Array.from(predicted.keys()).filter((position) => predicted[position] === maskTokenId);
  const logProbabilities = new Float32Array(rows.length);
  const row = new Float32Array(rules.codebookSize);
  const noise = new Stream({ seed: rules.seed, picture: state.picture, step: index, purpose: PURPOSE.tokens });
  for (const [i, position] of rows.entries()) {
    logits?.(position, row);
    const first = position * row.length;
    const softmax = sampler.softmax(row, first);
    predicted[position] = sampler.drawCode(row, softmax, noise, first);
    logProbabilities[i] = sampler.logProbability(row, softmax, predicted[position]);
    if (!Number.isFinite(logProbabilities[i])) {
      throw new GenerationError(
        `the denoiser returned logits that are not finite at step ${index + 1}; the bundle does not fit this engine; ` +
          "try another engine",
      );
    }
    probability[position] = Math.exp(logProbabilities[i]);
  }
  const confidence = confidenceOf(logProbabilities, rows, state.picture, index, rules);
  const last = index === settings.steps - 1;
  const mask = sampler.remask(
    confidence,
    last ? 0 : maskLength(settings.schedule, index, settings.steps, positions, rows.length, state.startingMaskRatio),
  );
  const tokens = predicted.map((token, position) => (mask[position] ? maskTokenId : token));
  return { tokens, predicted, mask, confidence, probability };
}

/** Return what decides which tokens stay: the most confident, or the next in the Halton order. */
function confidenceOf(
  logProbabilities: Float32Array,
  rows: readonly number[],
  picture: bigint,
  step: number,
  rules: LoopRules,
): Float32Array {
  const { seed, settings, gridHeight, gridWidth } = rules;
  const positions = gridHeight * gridWidth;
  if (settings.order === "confidence") {
    const noise = uniforms(positions, { seed, picture, step, purpose: PURPOSE.confidence });
    return sampler.confidences(
      logProbabilities,
      rows,
      noise,
      temperatureAt(settings.temperature, step, settings.steps),
    );
  }
  // The same at each of a picture's steps.
  const [u] = uniforms(1, { seed, picture, step: 0, purpose: PURPOSE.order });
  return sampler.orderConfidences(haltonOrder(gridHeight, gridWidth), Math.floor(u * positions), rows);
}
