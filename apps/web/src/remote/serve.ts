/** A worker's side: opens a pipeline, and calls its functions for whoever is at the other end. */

import { BundleError } from "../errors.js";
import type { Pipeline } from "../pipeline.js";
import { type Channel, plainError, type Reply, type Request } from "./protocol.js";

/**
 * Opens what the other end asks for.
 *
 * @param options as the other end gave them
 * @param tell sends an event, as of a download's progress
 */
export type Open = (
  options: unknown,
  tell: (name: string, ...values: unknown[]) => void,
  signal: AbortSignal,
) => Promise<Pipeline>;

/** Serve one pipeline over a channel. */
export function serve(channel: Channel, open: Open): void {
  const server = new Server(channel, open);
  channel.onMessage((message) => {
    void server.handle(message as Request);
  });
}

interface Running {
  readonly abort: AbortController;
  readonly iterator?: AsyncIterator<unknown>;
}

class Server {
  readonly #channel: Channel;
  readonly #open: Open;
  readonly #running = new Map<number, Running>();
  #pipeline: Pipeline | undefined;

  constructor(channel: Channel, open: Open) {
    this.#channel = channel;
    this.#open = open;
  }

  async handle(request: Request): Promise<void> {
    const { id } = request;
    try {
      await this.#answer(request);
    } catch (error) {
      this.#running.delete(id);
      this.#post({ kind: "error", id, error: plainError(error) });
    }
  }

  async #answer(request: Request): Promise<void> {
    const { id } = request;
    const running = this.#running.get(id);
    if (request.kind === "open") {
      await this.#opened(id, request.options);
    } else if (request.kind === "call") {
      const { method, values } = request;
      const value = await this.#during(id, (signal) => this.#call(method, id, values, signal));
      this.#post({ kind: "value", id, value });
    } else if (request.kind === "iterate") {
      const abort = new AbortController();
      const iterator = this.#call(request.method, id, request.values, abort.signal) as AsyncIterator<unknown>;
      this.#running.set(id, { abort, iterator });
    } else if (request.kind === "abort") {
      running?.abort.abort();
    } else if (running?.iterator) {
      await this.#advance(id, running.iterator, request.kind);
    }
  }

  async #opened(id: number, options: unknown): Promise<void> {
    const tell = (name: string, ...values: unknown[]): void => this.#post({ kind: "event", id, name, values });
    const pipeline = await this.#during(id, (signal) => this.#open(options, tell, signal));
    this.#pipeline = pipeline;
    this.#post({ kind: "opened", id, manifest: pipeline.manifest, bundleSha256: pipeline.bundleSha256 });
  }

  async #advance(id: number, iterator: AsyncIterator<unknown>, how: "next" | "return"): Promise<void> {
    const result = how === "next" ? await iterator.next() : await iterator.return?.();
    if (how === "return" || result?.done) {
      this.#running.delete(id);
      this.#post({ kind: "done", id });
    } else {
      this.#post({ kind: "value", id, value: result?.value });
    }
  }

  async #during<T>(id: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    this.#running.set(id, { abort });
    try {
      return await work(abort.signal);
    } finally {
      this.#running.delete(id);
    }
  }

  /** Call a function of the pipeline; its last value are options, which get what cannot be sent. */
  // biome-ignore lint/suspicious/noExplicitAny: what a function returns depends on its name
  #call(method: string, id: number, values: readonly unknown[], signal: AbortSignal): any {
    if (!this.#pipeline) {
      throw new BundleError("no bundle was opened; open one first");
    }
    const onStep = (...step: unknown[]): void => this.#post({ kind: "event", id, name: "step", values: step });
    const options = { ...(values.at(-1) as object | undefined), signal, onStep };
    const pipeline = this.#pipeline as unknown as Record<string, (...given: unknown[]) => unknown>;
    return pipeline[method](...values.slice(0, -1), options);
  }

  #post(reply: Reply): void {
    this.#channel.post(reply);
  }
}
