/** How far something is, for eyes and for screen readers, and what went wrong. */

import { byId, within } from "./dom.js";
import { sentenceOf, titleOf } from "./words.js";

/** Shortest time between two things that a screen reader says, in ms. */
const SAY_EVERY = 4000;

export class ProgressView {
  readonly #bar: HTMLProgressElement;
  readonly #status: HTMLElement;
  readonly #live: HTMLElement;
  readonly #problem: HTMLElement;
  #said = Number.NEGATIVE_INFINITY;

  /** @param prefix of the ids: "" or "bench-" */
  constructor(prefix = "") {
    this.#bar = byId(`${prefix}progress`, HTMLProgressElement);
    this.#status = byId(`${prefix}status`, HTMLElement);
    this.#live = byId(`${prefix}live`, HTMLElement);
    this.#problem = byId(`${prefix}problem`, HTMLElement);
  }

  begin(): void {
    this.#problem.hidden = true;
    this.#bar.hidden = false;
    this.#bar.removeAttribute("value");
  }

  /** Show what is being done; without a share, for how long is not known. */
  show(text: string, share?: number): void {
    this.#status.textContent = text;
    if (share === undefined) {
      this.#bar.removeAttribute("value");
    } else {
      this.#bar.value = share;
    }
    if (performance.now() - this.#said > SAY_EVERY) {
      this.say(text);
    }
  }

  /** Tell screen readers alone. */
  say(text: string): void {
    this.#said = performance.now();
    this.#live.textContent = text;
  }

  end(text: string): void {
    this.#bar.hidden = true;
    this.#status.textContent = text;
    this.say(text);
  }

  fail(error: unknown): void {
    this.end("");
    within(this.#problem, "strong", HTMLElement).textContent = titleOf(error);
    within(this.#problem, "span", HTMLElement).textContent = sentenceOf(error);
    this.#problem.hidden = false;
  }

  warn(text: string): void {
    this.show(text);
  }
}
