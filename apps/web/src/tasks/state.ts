/** The state of one picture between two steps: a few KB of JSON that go on to the same picture in another process. */

import type { Step } from "../sampling/mask-predict.js";
import type { PictureParameters } from "./parameters.js";

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
