/** The other side of a worker: a pipeline whose functions are called there. */

import type { Manifest } from "../bundle/manifest.js";
import { check } from "../cancellation.js";
import { CancelledError, closedError } from "../errors.js";
import type { GoldenReport } from "../golden-check.js";
import type { RgbImage } from "../pictures/image.js";
import { type GenerateOptions, type Pipeline, type RunOptions, settingsIn } from "../pipeline.js";
import type { Step } from "../sampling/mask-predict.js";
import type { GenerationOptions, SamplerSettings } from "../sampling/options.js";
import type { PromptEmbeddings } from "../tasks/embeddings.js";
import { asTask, type PromptsOrTask, type Task } from "../tasks/kinds.js";
import type { Picture } from "../tasks/result.js";
import type { PictureState } from "../tasks/state.js";
import { type Call, type Channel, type Iteration, type Reply, type Request, revived } from "./protocol.js";

export interface RemoteOptions extends RunOptions {
  /** Told of what the worker tells beside its answers, such as a download's progress or a warning. */
  onEvent?: (name: string, ...values: unknown[]) => void;
}

/**
 * Draws in a worker. As `AmusedPipeline`, but that an error in an argument of `stream`, `pictures` or `resume` shows
 * when the first value is asked for, and that `onStep` is not waited for.
 */
export class RemotePipeline implements Pipeline {
  readonly manifest: Manifest;
  readonly bundleSha256: string;
  readonly #calls: Calls;
  #closed: Promise<void> | undefined;

  private constructor(calls: Calls, { manifest, bundleSha256 }: Opened) {
    this.#calls = calls;
    this.manifest = manifest;
    this.bundleSha256 = bundleSha256;
  }

  /**
   * Have the worker at the other end of a channel open a bundle; if it cannot, the channel is closed.
   *
   * @param options what the worker's `Open` takes: plain values
   */
  static async open(
    channel: Channel,
    options: unknown,
    { signal, onEvent }: RemoteOptions = {},
  ): Promise<RemotePipeline> {
    const calls = new Calls(channel, onEvent);
    try {
      const opened = await calls.once({ kind: "open", options }, signal);
      return new RemotePipeline(calls, opened as Opened);
    } catch (error) {
      await calls.end();
      throw error;
    }
  }

  async generate(task: PromptsOrTask, options: GenerateOptions = {}): Promise<Picture[]> {
    return (await this.#call("generate", [asTask(task)], options)) as Picture[];
  }

  pictures(task: PromptsOrTask, options: GenerateOptions = {}): AsyncGenerator<Picture, void, undefined> {
    return this.#iterate<Picture>("pictures", [asTask(task)], options);
  }

  stream(task: PromptsOrTask, options: GenerationOptions & RunOptions = {}): AsyncGenerator<Step, void, undefined> {
    return this.#iterate<Step>("stream", [asTask(task)], options);
  }

  async begin(task: PromptsOrTask, options: GenerationOptions & RunOptions = {}): Promise<PictureState[]> {
    return (await this.#call("begin", [asTask(task)], options)) as PictureState[];
  }

  resume(state: PictureState, task?: PromptsOrTask, options: RunOptions = {}): AsyncGenerator<Step, void, undefined> {
    return this.#iterate<Step>("resume", [state, task], options);
  }

  async finish(state: PictureState, task?: PromptsOrTask, options: RunOptions = {}): Promise<Picture> {
    return (await this.#call("finish", [state, task], options)) as Picture;
  }

  async preview(step: Step, options: RunOptions = {}): Promise<RgbImage[]> {
    return (await this.#call("preview", [step], options)) as RgbImage[];
  }

  async decode(tokens: Int32Array, options: RunOptions = {}): Promise<RgbImage> {
    return (await this.#call("decode", [tokens], options)) as RgbImage;
  }

  async encode(image: RgbImage, options: RunOptions = {}): Promise<Int32Array> {
    return (await this.#call("encode", [image], options)) as Int32Array;
  }

  async embed(prompt: string, options: RunOptions = {}): Promise<PromptEmbeddings> {
    return (await this.#call("embed", [prompt], options)) as PromptEmbeddings;
  }

  settings(options: GenerationOptions = {}, task?: Task): SamplerSettings {
    return settingsIn(this.manifest, options, task);
  }

  async checkGolden(options: RunOptions = {}): Promise<GoldenReport> {
    return (await this.#call("checkGolden", [], options)) as GoldenReport;
  }

  /** Release everything, and end the worker. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    try {
      await this.#call("close", [], {});
    } finally {
      await this.#calls.end();
    }
  }

  #call(method: Call, values: unknown[], options: GenerateOptions): Promise<unknown> {
    const { signal, onStep, ...plain } = options;
    return this.#calls.once({ kind: "call", method, values: [...values, plain] }, signal, onStep);
  }

  async *#iterate<T>(
    method: Iteration,
    values: unknown[],
    { signal, onStep, ...plain }: GenerateOptions,
  ): AsyncGenerator<T, void, undefined> {
    const request = { kind: "iterate", method, values: [...values, plain] } as const;
    yield* this.#calls.each(request, signal, onStep) as AsyncGenerator<T, void, undefined>;
  }
}

interface Opened {
  readonly manifest: Manifest;
  readonly bundleSha256: string;
}

type OnStep = GenerateOptions["onStep"];

type Unnumbered<R> = R extends unknown ? Omit<R, "id"> : never;

interface Pending {
  resolve(reply: Reply): void;
  reject(error: Error): void;
  readonly onStep: OnStep;
}

/** Numbers requests, and finds the one that a reply belongs to. */
class Calls {
  readonly #channel: Channel;
  readonly #pending = new Map<number, Pending>();
  readonly #onEvent: RemoteOptions["onEvent"];
  #last = 0;
  #ended: Error | undefined;

  constructor(channel: Channel, onEvent: RemoteOptions["onEvent"]) {
    this.#channel = channel;
    this.#onEvent = onEvent;
    channel.onMessage((message) => this.#receive(message as Reply));
    channel.onFailure?.((error) => this.#fail(error));
  }

  /** Send a request, and return what comes back. */
  async once(request: Unnumbered<Request>, signal?: AbortSignal, onStep?: OnStep): Promise<unknown> {
    check(signal);
    const id = ++this.#last;
    const reply = await this.#abortable(id, signal, () => this.#ask({ ...request, id } as Request, onStep));
    return reply.kind === "value" ? reply.value : reply;
  }

  /** Send a request for several values, and yield them. */
  async *each(request: Unnumbered<Request>, signal?: AbortSignal, onStep?: OnStep): AsyncGenerator<unknown> {
    check(signal);
    const id = ++this.#last;
    if (!this.#ended) {
      this.#channel.post({ ...request, id }); // answered with the first value, if that is refused
    }
    let more = true;
    try {
      while (more) {
        check(signal);
        const reply = await this.#abortable(id, signal, () => this.#ask({ kind: "next", id }, onStep)).catch(
          (error) => {
            more = false;
            throw error;
          },
        );
        more = reply.kind === "value";
        if (reply.kind === "value") {
          yield reply.value;
        }
      }
    } finally {
      if (more) {
        await this.#ask({ kind: "return", id }, undefined);
      }
    }
  }

  /** End the channel; what still waits fails. */
  async end(): Promise<void> {
    this.#fail(closedError());
    await this.#channel.close?.();
  }

  #ask(request: Request, onStep: OnStep): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#ended) {
        reject(this.#ended);
        return;
      }
      this.#pending.set(request.id, { resolve, reject, onStep });
      this.#channel.post(request);
    });
  }

  async #abortable(id: number, signal: AbortSignal | undefined, work: () => Promise<Reply>): Promise<Reply> {
    const abort = (): void => this.#channel.post({ kind: "abort", id });
    signal?.addEventListener("abort", abort);
    try {
      return await work();
    } catch (error) {
      throw error instanceof CancelledError ? new CancelledError(error.message, { cause: signal?.reason }) : error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  #receive(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (reply.kind === "event") {
      if (reply.name === "step") {
        void this.#step(reply.id, pending, reply.values as [number, Step]);
      } else {
        this.#onEvent?.(reply.name, ...reply.values);
      }
      return;
    }
    this.#pending.delete(reply.id);
    if (reply.kind === "error") {
      pending?.reject(revived(reply.error));
    } else {
      pending?.resolve(reply);
    }
  }

  /** Tell of a step; what the listener throws ends the run. */
  async #step(id: number, pending: Pending | undefined, [picture, step]: [number, Step]): Promise<void> {
    try {
      await pending?.onStep?.(picture, step);
    } catch (error) {
      this.#pending.delete(id);
      this.#channel.post({ kind: "abort", id });
      pending?.reject(error as Error);
    }
  }

  #fail(error: Error): void {
    this.#ended ??= error;
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of waiting) {
      reject(error);
    }
  }
}
