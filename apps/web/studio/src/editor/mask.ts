/** Paints a mask over a picture, with fingers, mouse, pen or keys. */

import type { ImageSource } from "../../../src/pictures/image.js";
import { context2d, make } from "../page/dom.js";
import { percent } from "../page/words.js";

const UNDO_STEPS = 12;
/** The colour of the mask on the picture; the mask itself is its opacity. */
const COLOUR = "rgb(106, 52, 240)";
/** Opaque enough to count. */
const HALF = 128;
/** Share of the longer side that an arrow key moves the brush. */
const KEY_STEP = 0.02;

interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Brush {
  readonly erase: boolean;
  /** Diameter as a share of the picture's longer side. */
  readonly size: number;
}

export class MaskEditor {
  readonly canvas: HTMLCanvasElement;
  readonly #ring = make("div", { class: "brush", hidden: true });
  readonly #context: CanvasRenderingContext2D;
  readonly #brush: () => Brush;
  readonly #changed: (said: string) => void;
  readonly #past: ImageData[] = [];
  #last: Point | undefined;
  #cursor: Point;

  /** @param changed told what is covered, for screen readers */
  constructor(board: HTMLElement, width: number, height: number, brush: () => Brush, changed: (said: string) => void) {
    this.canvas = make("canvas", {
      class: "mask",
      width,
      height,
      tabindex: 0,
      role: "application",
      "aria-label":
        "Mask over the picture. Arrow keys move the brush, Space paints or erases there, Enter covers the middle.",
    });
    this.#context = context2d(this.canvas, { willReadFrequently: true });
    this.#brush = brush;
    this.#changed = changed;
    this.#cursor = { x: width / 2, y: height / 2 };
    board.append(this.canvas, this.#ring);
    this.#listen();
  }

  /** Return the mask, bright where it was painted; undefined where nothing was. */
  mask(): ImageSource | undefined {
    const { width, height } = this.canvas;
    const levels = this.#alpha().map((alpha) => (alpha >= HALF ? 255 : 0));
    return levels.includes(255) ? { width, height, data: levels } : undefined;
  }

  undo(): void {
    const before = this.#past.pop();
    if (before) {
      this.#context.putImageData(before, 0, 0);
      this.#tell();
    }
  }

  clear(): void {
    this.#remember();
    this.#context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.#tell();
  }

  invert(): void {
    this.#remember();
    this.#context.globalCompositeOperation = "xor";
    this.#fill((context) => context.fillRect(0, 0, this.canvas.width, this.canvas.height));
  }

  /** Put a mask that was kept back, of this size. */
  restore(mask: ImageSource): void {
    const image = new ImageData(mask.width, mask.height);
    mask.data.forEach((level, i) => {
      image.data.set([106, 52, 240, level >= HALF ? 255 : 0], 4 * i);
    });
    this.#context.putImageData(image, 0, 0);
    this.#tell();
  }

  #listen(): void {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.#remember();
      this.#last = this.#point(event);
      this.#stroke(this.#last, this.#last);
    });
    canvas.addEventListener("pointermove", (event) => {
      this.#ringAt(this.#point(event));
      if (!this.#last) return;
      for (const one of event.getCoalescedEvents?.().concat(event) ?? [event]) {
        const next = this.#point(one);
        this.#stroke(this.#last, next);
        this.#last = next;
      }
    });
    for (const ending of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(ending, () => {
        if (this.#last) this.#tell();
        this.#last = undefined;
      });
    }
    canvas.addEventListener("pointerleave", () => {
      this.#ring.hidden = true;
    });
    canvas.addEventListener("blur", () => {
      this.#ring.hidden = true;
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event: KeyboardEvent): void {
    const { width, height } = this.canvas;
    const step = Math.max(1, KEY_STEP * Math.max(width, height)) * (event.shiftKey ? 4 : 1);
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step],
    };
    const move = moves[event.key];
    if (move) {
      const within = (value: number, most: number): number => Math.min(Math.max(value, 0), most);
      this.#cursor = { x: within(this.#cursor.x + move[0], width), y: within(this.#cursor.y + move[1], height) };
    } else if (event.key === " ") {
      this.#remember();
      this.#stroke(this.#cursor, this.#cursor);
      this.#tell();
    } else if (event.key === "Enter") {
      this.#remember();
      this.#context.globalCompositeOperation = "source-over";
      this.#fill((context) => context.fillRect(width / 4, height / 4, width / 2, height / 2));
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      this.undo();
    } else {
      return;
    }
    event.preventDefault();
    this.#ringAt(this.#cursor);
  }

  #stroke(from: Point, to: Point): void {
    const { erase, size } = this.#brush();
    const context = this.#context;
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.strokeStyle = COLOUR;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.lineWidth = this.#diameter(size);
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y); // a line without length is not drawn everywhere
    context.stroke();
    this.#cursor = to;
  }

  #fill(work: (context: CanvasRenderingContext2D) => void): void {
    this.#context.fillStyle = COLOUR;
    work(this.#context);
    this.#context.globalCompositeOperation = "source-over";
    this.#tell();
  }

  #diameter(size: number): number {
    return Math.max(1, size * Math.max(this.canvas.width, this.canvas.height));
  }

  #point(event: PointerEvent): Point {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - left) / width) * this.canvas.width,
      y: ((event.clientY - top) / height) * this.canvas.height,
    };
  }

  #ringAt({ x, y }: Point): void {
    const diameter = this.#diameter(this.#brush().size);
    Object.assign(this.#ring.style, {
      left: `${(100 * x) / this.canvas.width}%`,
      top: `${(100 * y) / this.canvas.height}%`,
      width: `${(100 * diameter) / this.canvas.width}%`,
      height: `${(100 * diameter) / this.canvas.height}%`,
    });
    this.#ring.hidden = false;
  }

  #remember(): void {
    this.#past.push(this.#context.getImageData(0, 0, this.canvas.width, this.canvas.height));
    if (this.#past.length > UNDO_STEPS) this.#past.shift();
  }

  #alpha(): Uint8Array {
    const { data } = this.#context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    return Uint8Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + 3]);
  }

  #tell(): void {
    const alpha = this.#alpha();
    const covered = alpha.reduce((sum, one) => sum + Number(one >= HALF), 0) / alpha.length;
    this.#changed(covered ? `The mask covers ${percent(covered)} of the picture.` : "Nothing is painted.");
  }
}
