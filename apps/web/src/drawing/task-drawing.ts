/** All pictures of a task: one after the other in batches that memory allows, or their steps side by side. */

import type { Arrays } from "../engines/graph.js";
import type { GraphStore } from "../engines/graph-store.js";
import type { Step } from "../sampling/mask-predict.js";
import type { SamplerSettings } from "../sampling/options.js";
import { picturesOf, single, type Task } from "../tasks/kinds.js";
import type { Picture } from "../tasks/result.js";
import type { PictureState } from "../tasks/state.js";
import type { Drawing, OnStep } from "./draw.js";

/** Pictures of a prompt that are drawn before they are decoded, where one graph is loaded at a time. */
const LOW_MEMORY_BATCH = 16;

/** Draws tasks with a bundle's `Drawing`. Of pictures and steps nothing is done before the first is asked for. */
export class TaskDrawing {
  readonly #drawing: Drawing;
  readonly #graphs: GraphStore;

  constructor(drawing: Drawing, graphs: GraphStore) {
    this.#drawing = drawing;
    this.#graphs = graphs;
  }

  /** Return the state from which each picture of a task starts. */
  async begin(
    task: Task,
    seed: bigint,
    settings: SamplerSettings,
    signal: AbortSignal | undefined,
  ): Promise<PictureState[]> {
    const states: PictureState[] = [];
    for (const place of picturesOf(task)) {
      states.push(await this.#drawing.begin(single(task, place), seed, settings, signal));
    }
    return states;
  }

  /** Yield each picture when it is finished; where one graph is loaded at a time, a batch of them together. */
  async *pictures(
    task: Task,
    seed: bigint,
    settings: SamplerSettings,
    onStep: OnStep | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Picture, void, undefined> {
    let first = 0;
    for (const batch of batches(task, this.#graphs.graphsStay ? 1 : LOW_MEMORY_BATCH)) {
      const begun = first;
      const stepped = (place: number, step: Step) => onStep?.(begun + place, step);
      const states: PictureState[] = [];
      for await (const state of this.#drawing.draw(batch, seed, settings, stepped, signal)) {
        states.push(state);
      }
      first += batch.length;
      await this.#graphs.acquire("image_decoder"); // the denoiser has gone, where one graph is loaded at a time
      try {
        for (const [place, state] of states.entries()) {
          yield await this.#drawing.finish(state, batch[place], signal);
        }
      } finally {
        await this.#graphs.release("image_decoder");
      }
    }
  }

  /** Yield each step of all pictures side by side; none where no picture needs one. */
  async *steps(
    task: Task,
    seed: bigint,
    settings: SamplerSettings,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Step, void, undefined> {
    const states = await this.begin(task, seed, settings, signal);
    if (states.every((state) => state.nextStep === settings.steps)) {
      return;
    }
    const ofPrompt = new Map<number, Arrays>();
    const conditionings: Arrays[] = [];
    for (const place of picturesOf(task)) {
      const known = ofPrompt.get(place[0]);
      const conditioning = known ?? (await this.#drawing.conditioning(single(task, place), settings, signal));
      ofPrompt.set(place[0], conditioning);
      conditionings.push(conditioning);
    }
    yield* this.#drawing.steps(states, conditionings, signal);
  }

  /** Yield the steps that one picture still needs. */
  async *resume(
    state: PictureState,
    task: Task,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Step, void, undefined> {
    const { settings } = state.parameters;
    if (state.nextStep < settings.steps) {
      const conditioning = await this.#drawing.conditioning(task, settings, signal);
      yield* this.#drawing.steps([state], [conditioning], signal);
    }
  }
}

/** Split a task's pictures by prompt and into at most so many, each as a task of its own. */
function* batches(task: Task, most: number): Generator<Task[]> {
  const places = picturesOf(task);
  for (let at = 0; at < places.length; ) {
    const [prompt] = places[at];
    let end = at + 1;
    while (end < places.length && end < at + most && places[end][0] === prompt) {
      end++;
    }
    yield places.slice(at, end).map((place) => single(task, place));
    at = end;
  }
}
