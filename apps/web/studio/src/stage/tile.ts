/** One picture on its way and when it is finished: canvas, veil over what is still open, heat map, words, buttons. */

import type { Drawn, Preview } from "../compute/draw.js";
import { button, make, paint } from "../page/dom.js";
import { seconds } from "../page/words.js";
import { heatMap, veil } from "../pictures/overlays.js";

/** A picture of fewer pixels is shown with its pixels' edges. */
const SMALL = 128;

export interface TileActions {
  save(drawn: Drawn): void;
  /** Start from the picture: vary it, repaint it, or draw around it. */
  use(drawn: Drawn, task: "vary" | "repaint" | "extend"): void;
}

export class Tile {
  readonly element: HTMLElement;
  drawn: Drawn | undefined;
  readonly #picture = make("canvas", { role: "img", "aria-label": "No picture yet" });
  readonly #veil = make("canvas", { class: "veil", "aria-hidden": true });
  readonly #heat = make("canvas", { "aria-hidden": true, hidden: true });
  readonly #frame: HTMLElement;
  readonly #said = make("span", {}, "waiting");
  readonly #row = make("div", { class: "actions", role: "group", hidden: true });
  readonly #prompt: string;
  #last: Preview | undefined;
  #showsHeat = false;

  constructor(label: string, prompt: string, width: number, height: number, actions: TileActions) {
    this.#prompt = prompt || "a picture without words";
    this.#frame = make("div", { class: "frame" }, this.#picture, this.#veil, this.#heat);
    this.#frame.style.aspectRatio = `${width} / ${height}`;
    const caption = make("figcaption", {}, make("strong", {}, label), this.#said);
    this.element = make("figure", { class: "tile drawing" }, this.#frame, caption, this.#row);
    const use = (words: string, task: "vary" | "repaint" | "extend") =>
      button(words, { "aria-label": `${words} ${label}` }, () => this.drawn && actions.use(this.drawn, task));
    this.#row.setAttribute("aria-label", `With the picture of ${label}`);
    this.#row.append(
      button("Save", { "aria-label": `Save ${label}` }, () => this.drawn && actions.save(this.drawn)),
      use("Vary", "vary"),
      use("Repaint", "repaint"),
      use("Extend", "extend"),
    );
    this.#sized(width);
  }

  say(text: string): void {
    this.#said.textContent = text;
  }

  preview(preview: Preview): void {
    const { image, mask, grid } = preview;
    this.#last = { ...preview, image: image ?? this.#last?.image };
    if (image) {
      paint(this.#picture, image);
      this.#picture.setAttribute("aria-label", `${this.#prompt}, on its way`);
    }
    if (mask && grid) {
      const [red = 0, green = 0, blue = 0] = getComputedStyle(this.element)
        .getPropertyValue("--veil")
        .split(" ")
        .map(Number);
      paint(this.#veil, veil(mask, grid, [red, green, blue]));
    }
    this.#paintHeat();
  }

  finish(drawn: Drawn, note: string): void {
    this.drawn = drawn;
    this.element.classList.remove("drawing");
    paint(this.#picture, drawn.image);
    this.#picture.setAttribute("aria-label", this.#prompt);
    this.#veil.hidden = true;
    this.#row.hidden = false;
    this.say([seconds(drawn.seconds), note].filter((part) => part).join(" · "));
    this.#sized(drawn.image.width);
    this.#paintHeat();
  }

  /** End without a picture; what was seen so far stays. */
  fail(said: string): void {
    this.element.classList.remove("drawing");
    this.say(said);
  }

  set heat(on: boolean) {
    this.#showsHeat = on;
    this.#paintHeat();
  }

  #sized(width: number): void {
    for (const canvas of [this.#picture, this.#heat]) {
      canvas.classList.toggle("pixels", width <= SMALL);
    }
  }

  #paintHeat(): void {
    const image = this.drawn?.image ?? this.#last?.image;
    const { probability, grid } = this.drawn ?? this.#last ?? {};
    const mask = this.drawn ? undefined : this.#last?.mask;
    const made =
      probability && grid && image instanceof ImageData ? heatMap(image, probability, grid, mask) : undefined;
    const heat = this.#showsHeat ? (this.drawn?.heat ?? made) : undefined;
    this.#heat.hidden = heat === undefined;
    if (heat) paint(this.#heat, heat);
  }
}
