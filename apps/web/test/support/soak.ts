/** Many pictures at once with pipelines that are shared, or come and go: who stays, cancels, leaves, saves or closes. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import {
  CancelledError,
  GraphError,
  inpainting,
  outpainting,
  type Picture,
  type Pipeline,
  stateAfter,
  stateFromText,
  stateToText,
  type Task,
  textToImage,
  variation,
} from "../../src/index.js";
import { PURPOSE, uniforms } from "../../src/sampling/philox.js";
import { asTask, picturesOf, single } from "../../src/tasks/kinds.js";
import { pictureOf } from "./pictures.js";

type Drawn = readonly [task: Task, options: object];

/** Return what is drawn on a bundle of this size: every kind of task, one picture or several, guided or not. */
function tasksOf(height: number, width: number): Drawn[] {
  const fox = pictureOf({ size: [height, width], seed: "1", channels: 3 });
  const right = [Math.floor(width / 2), 0, width, height, 255];
  const mask = pictureOf({ size: [height, width], background: 0, rectangles: [right] });
  const part = pictureOf({ size: [height / 2, width / 2], seed: "2", channels: 3 });
  const few = { steps: 2 };
  return [
    [asTask("a fox"), few],
    [textToImage(["a boat", "a castle"], { negativePrompts: "red" }), { steps: 2, seed: 5 }],
    [textToImage("a panda", { picturesPerPrompt: 2 }), { steps: 3, guidanceScale: 1 }],
    [asTask("a fox"), { steps: 3, order: "halton", temperature: 0 }],
    [variation("a fox", fox, { strength: 0.7 }), few],
    [inpainting("a fox", fox, mask, { strength: 1 }), few],
    [outpainting("a fox", part, { right: width / 2, bottom: height / 2 }), few],
  ];
}

/** Numbers in [0, 1) that a seed and a number name. */
function chances(seed: number, number: number): () => number {
  const name = { seed: BigInt(seed), picture: BigInt(number), step: 0, purpose: PURPOSE.order };
  const drawn = uniforms(8, name)[Symbol.iterator]();
  return () => drawn.next().value as number;
}

function digest(pictures: readonly Picture[]): string {
  const hash = createHash("sha256");
  for (const picture of pictures) {
    hash.update(picture.image.data);
  }
  return hash.digest("hex");
}

/** Opens a pipeline, which keeps its graphs or has one at a time. */
export type Open = (keepGraphs: boolean) => Promise<Pipeline>;

export class Soak {
  /** How often each end came. */
  readonly came = new Map<string, number>();
  readonly wrong: string[] = [];
  readonly #open: Open;
  readonly #seed: number;
  readonly #tasks: readonly Drawn[];
  readonly #expected: readonly string[];

  private constructor(open: Open, seed: number, tasks: readonly Drawn[], expected: readonly string[]) {
    this.#open = open;
    this.#seed = seed;
    this.#tasks = tasks;
    this.#expected = expected;
  }

  /** Draw each task alone, which is what is expected of all others. */
  static async begin(open: Open, seed: number): Promise<Soak> {
    const alone = await open(true);
    const { imageHeight, imageWidth } = alone.manifest.geometry;
    const tasks = tasksOf(imageHeight, imageWidth);
    const expected: string[] = [];
    for (const [task, options] of tasks) {
      expected.push(digest(await alone.generate(task, options)));
    }
    await alone.close();
    assert.ok(new Set(expected).size >= tasks.length - 1, "tasks draw different pictures");
    return new Soak(open, seed, tasks, expected);
  }

  /** Several callers draw with one pipeline. */
  async callers(first: number, count: number, atOnce: number): Promise<void> {
    const pipeline = await this.#open(true);
    await eachOf(first, count, atOnce, (number) => this.#one(pipeline, number));
    await pipeline.close();
  }

  /** Pipelines are opened, keep graphs or drop them, and are closed while they draw. */
  async pipelines(first: number, count: number, atOnce: number): Promise<void> {
    await eachOf(first, count, atOnce, async (number) => {
      const chance = chances(this.#seed + 1, number);
      const pipeline = await this.#open(chance() < 0.5);
      const closing = wait(chance() * 1500).then(() => pipeline.close());
      try {
        for (let each = 0; each < 4; each++) {
          await this.#one(pipeline, 4 * number + each);
        }
      } catch (error) {
        if (!(error instanceof GraphError && error.message.includes("closed"))) {
          this.wrong.push(String(error));
        }
        this.#count("closed");
      }
      await closing;
      await pipeline.close();
    });
  }

  /** Draw one of the tasks, and perhaps change one's mind. */
  async #one(pipeline: Pipeline, number: number): Promise<void> {
    const chance = chances(this.#seed, number);
    const which = Math.floor(chance() * this.#tasks.length);
    const [task, options] = this.#tasks[which];
    const kind = Math.floor(chance() * 5);
    if (kind === 0) {
      await this.#cancelled(pipeline, which, chance() * 200);
    } else if (kind === 1) {
      let left = chance() < 0.5 ? 1 : 2;
      for await (const _ of pipeline.stream(task, options)) {
        if (--left === 0) {
          break;
        }
      }
      this.#count("left");
    } else if (kind === 2) {
      await this.#saved(pipeline, which);
    } else {
      this.#compare(which, await pipeline.generate(task, options), "drawn");
    }
  }

  async #cancelled(pipeline: Pipeline, which: number, milliseconds: number): Promise<void> {
    const [task, options] = this.#tasks[which];
    const wish = new AbortController();
    const timer = setTimeout(() => wish.abort(), milliseconds);
    try {
      const pictures = await pipeline.generate(task, { ...options, signal: wish.signal });
      this.#compare(which, pictures, "faster than its end");
    } catch (error) {
      if (!(error instanceof CancelledError)) {
        throw error;
      }
      this.#count("cancelled");
    } finally {
      clearTimeout(timer);
    }
  }

  /** Draw each picture up to its first step, and go on from the text of its state. */
  async #saved(pipeline: Pipeline, which: number): Promise<void> {
    const [task, options] = this.#tasks[which];
    const alone = picturesOf(task).map((place) => single(task, place));
    const pictures: Picture[] = [];
    for (const [place, begun] of (await pipeline.begin(task, options)).entries()) {
      let state = begun;
      for await (const step of pipeline.resume(begun, alone[place])) {
        state = stateAfter(begun, step);
        break;
      }
      state = stateFromText(stateToText(state));
      for await (const step of pipeline.resume(state, alone[place])) {
        state = stateAfter(state, step);
      }
      pictures.push(await pipeline.finish(state, alone[place]));
    }
    this.#compare(which, pictures, "gone on with");
  }

  #compare(which: number, pictures: readonly Picture[], how: string): void {
    this.#count(how);
    if (digest(pictures) !== this.#expected[which]) {
      this.wrong.push(`task ${which}, ${how}, is another picture`);
    }
  }

  #count(how: string): void {
    this.came.set(how, (this.came.get(how) ?? 0) + 1);
  }
}

/** Do some work for each number, so many at a time. */
async function eachOf(first: number, count: number, atOnce: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = first;
  const worker = async () => {
    while (next < first + count) {
      await work(next++);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
