/** All pictures of a run, side by side. */

import type { Drawn } from "../compute/draw.js";
import { byId, make } from "../page/dom.js";
import { percent } from "../page/words.js";
import { Tile, type TileActions } from "./tile.js";

export class Stage {
  readonly #tiles = byId("tiles", HTMLElement);
  readonly #heat = byId("heat", HTMLInputElement);
  readonly #legend = byId("heat-legend", HTMLElement);
  readonly #actions: TileActions;
  #shown: Tile[] = [];

  constructor(actions: TileActions) {
    this.#actions = actions;
    this.#heat.addEventListener("change", () => this.#toggle());
    this.empty();
  }

  /** Show that there is nothing yet. */
  empty(): void {
    this.#tiles.dataset.count = "1";
    this.#tiles.replaceChildren(make("div", { class: "frame blank" }, make("span", {}, "Your picture appears here")));
  }

  /** Make room for new pictures. */
  begin(labels: readonly string[], prompt: string, width: number, height: number): Tile[] {
    this.#shown = labels.map((label) => new Tile(label, prompt, width, height, this.#actions));
    this.#tiles.dataset.count = String(labels.length);
    this.#tiles.replaceChildren(...this.#shown.map((tile) => tile.element));
    this.#toggle();
    return this.#shown;
  }

  #toggle(): void {
    this.#legend.hidden = !this.#heat.checked;
    for (const tile of this.#shown) tile.heat = this.#heat.checked;
  }
}

/** Return how near a picture is to the same one of another bundle; nothing for the first. */
export function comparison(drawn: Drawn, first: Drawn | undefined): string {
  if (!first || first === drawn || first.image.data.length !== drawn.image.data.length) {
    return "";
  }
  const { tokens } = drawn;
  const same = tokens && first.tokens?.filter((token, i) => token === tokens[i]).length;
  const share = same === undefined || !tokens ? undefined : same / tokens.length;
  const ratio = psnr(drawn.image.data, first.image.data);
  const near = ratio === Number.POSITIVE_INFINITY ? "the same pixels" : `PSNR ${ratio.toFixed(1)} dB`;
  return share === undefined ? near : `${percent(share)} same tokens, ${near}`;
}

/** Return the peak signal-to-noise ratio of two pictures in dB, without their alpha. */
function psnr(one: Uint8ClampedArray, other: Uint8ClampedArray): number {
  let sum = 0;
  for (let i = 0; i < one.length; i++) {
    sum += i % 4 === 3 ? 0 : (one[i] - other[i]) ** 2;
  }
  return 10 * Math.log10(255 ** 2 / (sum / ((one.length / 4) * 3)));
}
