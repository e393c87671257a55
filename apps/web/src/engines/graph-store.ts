/** Keeps a pipeline's graphs: loaded at first use, shared by its callers, dropped at the end or right after use. */

import type { Role } from "../bundle/manifest.js";
import { closedError } from "../errors.js";
import type { Graph } from "./graph.js";

/** Loads the graph of a role. */
export type Load = (role: Role) => Promise<Graph>;

interface Held {
  readonly graph: Promise<Graph>;
  users: number;
}

export class GraphStore {
  /** Whether a graph stays once it is loaded; else it goes when its last user leaves. */
  readonly graphsStay: boolean;
  readonly #load: Load;
  readonly #held = new Map<Role, Held>();
  #closed = false;

  constructor(load: Load, graphsStay: boolean) {
    this.#load = load;
    this.graphsStay = graphsStay;
  }

  /**
   * Return a role's graph with one user more; each `acquire` is followed by a `release`.
   *
   * Loading is not cut short by one caller's signal, as others may wait for the same graph.
   */
  async acquire(role: Role): Promise<Graph> {
    if (this.#closed) {
      throw closedError();
    }
    const held = this.#held.get(role) ?? { graph: this.#load(role), users: 0 };
    this.#held.set(role, held);
    held.users++;
    try {
      const graph = await held.graph;
      if (this.#closed) {
        await graph.close();
        throw closedError();
      }
      return graph;
    } catch (error) {
      held.users--;
      if (this.#held.get(role) === held) {
        this.#held.delete(role);
      }
      throw error;
    }
  }

  async release(role: Role): Promise<void> {
    const held = this.#held.get(role);
    if (held && --held.users === 0 && !this.graphsStay) {
      this.#held.delete(role);
      await (await held.graph).close();
    }
  }

  /** Do some work with the graph of a role. */
  async use<T>(role: Role, work: (graph: Graph) => Promise<T>): Promise<T> {
    const graph = await this.acquire(role);
    try {
      return await work(graph);
    } finally {
      await this.release(role);
    }
  }

  /** Drop all graphs; no more are to be had. */
  async close(): Promise<void> {
    this.#closed = true;
    const held = [...this.#held.values()];
    this.#held.clear();
    for (const { graph } of held) {
      await (await graph.catch(() => undefined))?.close();
    }
  }
}
