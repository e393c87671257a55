/** The starting picture: chosen, dropped, pasted or taken from what was drawn; and what is done to it. */

import type { Manifest } from "../../../src/bundle/manifest.js";
import type { ImageSource } from "../../../src/pictures/image.js";
import type { TaskName } from "../options/read.js";
import type { Start } from "../options/task.js";
import { byId, make, paint } from "../page/dom.js";
import { readPicture, rgbOf } from "../pictures/read.js";
import { FrameEditor } from "./frame.js";
import { MaskEditor } from "./mask.js";

const HINTS: Readonly<Record<TaskName, string>> = {
  words: "",
  vary: "A new picture is drawn that keeps something of this one: the less, the higher the strength.",
  repaint: "Paint over what is to be drawn anew. All else stays as it is.",
  extend: "Drag the edges of the frame outwards, or the picture within it. What is around it is drawn.",
};

export interface StartEvents {
  /** Something about the starting picture changed, said for screen readers. */
  changed(said: string): void;
  failed(error: unknown): void;
  /** A file that may hold the parameters it was drawn from. */
  file(file: Blob): void;
}

export class StartEditor {
  readonly #section = byId("start", HTMLElement);
  readonly #drop = byId("drop", HTMLElement);
  readonly #board = byId("board", HTMLElement);
  readonly #tools = byId("mask-tools", HTMLElement);
  readonly #file = byId("file", HTMLInputElement);
  readonly #other = byId("other-picture", HTMLButtonElement);
  readonly #size = byId("brush-size", HTMLInputElement);
  readonly #events: StartEvents;
  readonly #manifest: () => Manifest | undefined;
  #task: TaskName = "words";
  #image: ImageData | undefined;
  #mask: MaskEditor | undefined;
  #frame: FrameEditor | undefined;

  constructor(manifest: () => Manifest | undefined, events: StartEvents) {
    this.#manifest = manifest;
    this.#events = events;
    for (const chooser of [byId("choose", HTMLButtonElement), this.#other]) {
      chooser.addEventListener("click", () => this.#file.click());
    }
    this.#file.addEventListener("change", () => {
      const [file] = this.#file.files ?? [];
      this.#file.value = "";
      if (file) void this.take(file);
    });
    byId("mask-undo", HTMLButtonElement).addEventListener("click", () => this.#mask?.undo());
    byId("mask-clear", HTMLButtonElement).addEventListener("click", () => this.#mask?.clear());
    byId("mask-invert", HTMLButtonElement).addEventListener("click", () => this.#mask?.invert());
    this.#takeDrops();
  }

  /** Show what a task needs; nothing where it starts from words alone. */
  setTask(task: TaskName): void {
    this.#task = task;
    this.#section.hidden = task === "words";
    byId("start-hint", HTMLElement).textContent = this.#image ? HINTS[task] : "";
    this.#build();
  }

  /** The bundles changed, whose proportions the frame has. */
  refresh(): void {
    if (this.#task === "extend") this.#build();
  }

  /** Take a picture from a file. */
  async take(file: Blob): Promise<void> {
    try {
      this.set(await readPicture(file));
      this.#events.file(file);
    } catch (error) {
      this.#events.failed(error);
    }
  }

  set(image: ImageData, mask?: ImageSource): void {
    this.#image = image;
    this.#mask = undefined;
    this.setTask(this.#task);
    this.#restore(mask);
    this.#events.changed(`Starting picture of ${image.width} by ${image.height} pixels.`);
  }

  /** Return what the task starts from; undefined without a picture. */
  start(): Start | undefined {
    if (!this.#image) {
      return undefined;
    }
    return { image: rgbOf(this.#image), mask: this.#mask?.mask(), margins: this.#frame?.margins };
  }

  #build(): void {
    const image = this.#image;
    const mask = this.#mask?.mask();
    this.#board.replaceChildren();
    this.#board.className = "board";
    this.#board.removeAttribute("style");
    [this.#mask, this.#frame] = [undefined, undefined];
    this.#drop.hidden = image !== undefined;
    this.#other.hidden = image === undefined;
    this.#board.hidden = image === undefined;
    this.#tools.hidden = image === undefined || this.#task !== "repaint";
    if (!image) return;
    const said = "Starting picture";
    const canvas = make("canvas", { role: "img", "aria-label": said, class: image.width <= 128 ? "pixels" : "" });
    paint(canvas, image);
    this.#board.style.aspectRatio = `${image.width} / ${image.height}`;
    this.#board.append(canvas);
    if (this.#task === "repaint") {
      const brush = () => ({
        erase: document.querySelector<HTMLInputElement>("[name=brush][value=erase]")?.checked ?? false,
        size: Number(this.#size.value) / 100,
      });
      this.#mask = new MaskEditor(this.#board, image.width, image.height, brush, this.#events.changed);
      this.#restore(mask);
    } else if (this.#task === "extend") {
      this.#board.classList.add("extend");
      const geometry = this.#manifest()?.geometry;
      const wanted = { width: geometry?.imageWidth ?? 1, height: geometry?.imageHeight ?? 1 };
      this.#frame = new FrameEditor(this.#board, canvas, wanted, this.#events.changed);
    }
  }

  #restore(mask: ImageSource | undefined): void {
    if (mask) this.#mask?.restore(mask);
  }

  #takeDrops(): void {
    const target = byId("studio", HTMLElement);
    const over = (on: boolean): void => {
      this.#drop.classList.toggle("over", on);
    };
    target.addEventListener("dragover", (event) => {
      if (event.dataTransfer?.types.includes("Files")) {
        event.preventDefault();
        over(true);
      }
    });
    target.addEventListener("dragleave", () => over(false));
    target.addEventListener("drop", (event) => {
      const [file] = event.dataTransfer?.files ?? [];
      over(false);
      if (file) {
        event.preventDefault();
        void this.take(file);
      }
    });
    document.addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
      if (file && !target.hidden) {
        event.preventDefault();
        void this.take(file);
      }
    });
  }
}
