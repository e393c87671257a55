/** The frame of an out-painting: its edges are dragged outwards, the picture is moved within it. */

import type { Margins } from "../options/task.js";
import { make } from "../page/dom.js";
import { type Side, type Size, shifted, smallestMargins, withMargin } from "./margins.js";

const SIDES: readonly Side[] = ["left", "top", "right", "bottom"];
/** Share of the picture that an arrow key moves an edge. */
const KEY_SHARE = 1 / 16;
/** The frame as it begins: room to draw on all sides. */
const FIRST_SHARE = 0.25;

export class FrameEditor {
  margins: Margins;
  readonly #board: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #picture: Size;
  readonly #wanted: Size;
  readonly #changed: (said: string) => void;
  readonly #handles = new Map<Side, HTMLElement>();

  /** @param wanted the proportions of the bundle's pictures */
  constructor(board: HTMLElement, canvas: HTMLCanvasElement, wanted: Size, changed: (said: string) => void) {
    this.#board = board;
    this.#canvas = canvas;
    this.#picture = { width: canvas.width, height: canvas.height };
    this.#wanted = wanted;
    this.#changed = changed;
    const first = smallestMargins(this.#picture, wanted);
    const side = this.#picture.width / this.#picture.height > wanted.width / wanted.height ? "top" : "left";
    const room = FIRST_SHARE * (side === "top" ? this.#picture.height : this.#picture.width);
    const opposite = side === "top" ? "bottom" : "right";
    const one = withMargin(this.#picture, wanted, first, side, first[side] + room);
    this.margins = withMargin(this.#picture, wanted, one, opposite, one[opposite] + room);
    for (const each of SIDES) {
      this.#addHandle(each);
    }
    this.#movePicture();
    this.#show();
  }

  #addHandle(side: Side): void {
    const across = side === "left" || side === "right";
    const handle = make("div", {
      class: "handle",
      role: "slider",
      tabindex: 0,
      "data-axis": across ? "x" : "y",
      "aria-label": `Margin, ${side}, in pixels`,
      "aria-orientation": across ? "horizontal" : "vertical",
      "aria-valuemin": 0,
      "aria-valuemax": 4 * (across ? this.#picture.width : this.#picture.height),
    });
    const sign = side === "left" || side === "top" ? -1 : 1;
    drag(handle, () => {
      const from = this.margins[side];
      const scale = this.#scale(); // of the beginning: the board's own changes while it is dragged
      return (dx, dy) => this.#set(side, from + (sign * (across ? dx : dy)) / scale);
    });
    handle.addEventListener("keydown", (event) => {
      const outward = { left: "ArrowLeft", right: "ArrowRight", top: "ArrowUp", bottom: "ArrowDown" }[side];
      const inward = { left: "ArrowRight", right: "ArrowLeft", top: "ArrowDown", bottom: "ArrowUp" }[side];
      const step = Math.max(1, Math.round((across ? this.#picture.width : this.#picture.height) * KEY_SHARE));
      const by = event.key === outward ? step : event.key === inward ? -step : 0;
      if (by || event.key === "Home") {
        event.preventDefault();
        this.#set(side, by ? this.margins[side] + by : 0);
      }
    });
    this.#handles.set(side, handle);
    this.#board.append(handle);
  }

  #movePicture(): void {
    drag(this.#canvas, () => {
      const from = this.margins;
      const scale = this.#scale();
      return (dx, dy) => {
        this.margins = shifted(from, dx / scale, dy / scale);
        this.#show();
      };
    });
  }

  #set(side: Side, pixels: number): void {
    this.margins = withMargin(this.#picture, this.#wanted, this.margins, side, pixels);
    this.#show();
  }

  /** Pixels of the screen per pixel of the picture. */
  #scale(): number {
    return this.#canvas.getBoundingClientRect().width / this.#picture.width;
  }

  #show(): void {
    const { left, top, right, bottom } = this.margins;
    const width = this.#picture.width + left + right;
    const height = this.#picture.height + top + bottom;
    const percent = (part: number, whole: number): string => `${(100 * part) / whole}%`;
    this.#board.style.aspectRatio = `${width} / ${height}`;
    Object.assign(this.#canvas.style, {
      left: percent(left, width),
      top: percent(top, height),
      width: percent(this.#picture.width, width),
      height: percent(this.#picture.height, height),
    });
    const places: Record<Side, [string, string]> = {
      left: ["0%", "50%"],
      right: ["100%", "50%"],
      top: ["50%", "0%"],
      bottom: ["50%", "100%"],
    };
    for (const [side, handle] of this.#handles) {
      [handle.style.left, handle.style.top] = places[side];
      handle.setAttribute("aria-valuenow", String(this.margins[side]));
    }
    this.#changed(
      `The frame has ${width} by ${height} pixels: ${left} at the left, ${top} above, ${right} at the right, ${bottom} below.`,
    );
  }
}

type Moved = (dx: number, dy: number) => void;

/** Follow a pointer from where it went down. */
function drag(element: HTMLElement, begin: () => Moved): void {
  let moved: Moved | undefined;
  let [x, y] = [0, 0];
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    element.focus({ preventScroll: true });
    element.setPointerCapture(event.pointerId);
    [x, y] = [event.clientX, event.clientY];
    moved = begin();
  });
  element.addEventListener("pointermove", (event) => moved?.(event.clientX - x, event.clientY - y));
  for (const ending of ["pointerup", "pointercancel"] as const) {
    element.addEventListener(ending, () => {
      moved = undefined;
    });
  }
}
