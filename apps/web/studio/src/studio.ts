/** The studio: what the form asks for is drawn, shown and kept. */

import type { Manifest } from "../../src/bundle/manifest.js";
import { CancelledError, OptionsError } from "../../src/errors.js";
import { picturesOf, single, type Task } from "../../src/tasks/kinds.js";
import { parametersFromText } from "../../src/tasks/parameters.js";
import { type BundleInfo, labels, type Offer } from "./compute/bundles.js";
import type { Drawer, Drawn, Watch } from "./compute/draw.js";
import { manifestOf } from "./compute/manifests.js";
import { PageDrawer } from "./compute/page-drawer.js";
import { ServerDrawer } from "./compute/server-drawer.js";
import { StartEditor } from "./editor/start.js";
import { save } from "./history/save.js";
import type { Entry } from "./history/store.js";
import { HistoryView, slug } from "./history/view.js";
import {
  engineChoice,
  fillForm,
  generationOptions,
  showDefaults,
  type TaskName,
  taskName,
  text,
} from "./options/read.js";
import { taskOf } from "./options/task.js";
import { byId } from "./page/dom.js";
import { ProgressView } from "./page/progress.js";
import { seconds, sentenceOf } from "./page/words.js";
import { encodePng, parametersIn } from "./pictures/png.js";
import { decode } from "./pictures/read.js";
import { chosenBundles, offerBundles } from "./stage/bundle-chips.js";
import { comparison, Stage } from "./stage/stage.js";
import type { Tile } from "./stage/tile.js";

/** A picture to be drawn: with which bundle, which of the task's pictures, where it is shown. */
interface Job {
  readonly bundle: BundleInfo;
  readonly manifest: Manifest;
  readonly task: Task;
  readonly tile: Tile;
  /** The same picture of the first bundle is compared with. */
  readonly picture: number;
}

const EXAMPLE = "a red fox on a blue background";

export class Studio {
  readonly #form = byId("form", HTMLFormElement);
  readonly #draw = byId("draw", HTMLButtonElement);
  readonly #stop = byId("stop", HTMLButtonElement);
  readonly #progress = new ProgressView();
  readonly #history: HistoryView;
  readonly #start: StartEditor;
  readonly #stage: Stage;
  readonly #offer: Offer;
  readonly #names: Map<string, string>;
  readonly #drawer: Drawer;
  #manifest: Manifest | undefined;
  #abort: AbortController | undefined;

  constructor(offer: Offer) {
    this.#offer = offer;
    this.#names = labels(offer.bundles);
    this.#drawer = offer.compute === "server" ? new ServerDrawer() : new PageDrawer();
    this.#stage = new Stage({
      save: (drawn) => save(drawn.png, `${slug(text(this.#form, "prompt") ?? "")}.png`),
      use: (drawn, task) => this.#startFrom(drawn.image, task),
    });
    this.#start = new StartEditor(() => this.#manifest, {
      changed: (said) => this.#progress.say(said),
      failed: (error) => this.#progress.fail(error),
      file: (file) => void this.#readParameters(file),
    });
    this.#history = new HistoryView({
      reuse: (entry) => void this.#reuse(entry),
      startFrom: async (entry) => this.#startFrom(await decode(entry.png), "vary"),
    });
    byId("engine-options", HTMLElement).hidden = offer.compute === "server";
    offerBundles(byId("bundles", HTMLFieldSetElement), offer.bundles, this.#names);
    this.#listen();
  }

  async begin(): Promise<void> {
    await Promise.all([this.#history.refresh(), this.#bundlesChanged()]);
  }

  #listen(): void {
    const form = this.#form;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#abort) void this.#run();
    });
    form.addEventListener("invalid", openGroup, true);
    form.addEventListener("change", (event) => {
      const { name } = event.target as HTMLInputElement;
      if (name === "task") this.#start.setTask(taskName(form));
      if (name === "bundle") void this.#bundlesChanged();
    });
    byId("prompt", HTMLTextAreaElement).addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.#abort?.abort();
    });
    this.#stop.addEventListener("click", () => this.#abort?.abort());
    byId("dice", HTMLButtonElement).addEventListener("click", () => {
      const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
      byId("seed", HTMLInputElement).value = String(seed);
      this.#progress.say(`Seed ${seed}`);
    });
  }

  async #run(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#busy(true);
    this.#progress.begin();
    const began = performance.now();
    try {
      const jobs = await this.#jobs();
      const failed = await this.#drawAll(jobs, abort.signal);
      if (failed === jobs.length) return; // said already
      const took = seconds((performance.now() - began) / 1000);
      const count = jobs.length - failed;
      this.#progress.end(
        jobs.length === 1 ? `Drawn in ${took}.` : `${count} of ${jobs.length} pictures drawn in ${took}.`,
      );
    } catch (error) {
      if (error instanceof CancelledError || abort.signal.aborted) {
        this.#progress.end("Stopped.");
      } else {
        this.#progress.fail(error);
      }
    } finally {
      this.#abort = undefined;
      this.#busy(false);
    }
  }

  /** Return what is to be drawn, bundle by bundle; throws where the form does not fit. */
  async #jobs(): Promise<Job[]> {
    const form = this.#form;
    const prompt = byId("prompt", HTMLTextAreaElement);
    prompt.value ||= EXAMPLE;
    const bundles = chosenBundles(form, this.#offer.bundles);
    if (!bundles.length) {
      throw new OptionsError("no bundle is chosen; choose at least one");
    }
    const planned: Omit<Job, "tile">[] = [];
    for (const bundle of bundles) {
      const manifest = await manifestOf(bundle);
      const task = taskOf(form, taskName(form), this.#start.start(), manifest);
      for (const [picture, place] of picturesOf(task).entries()) {
        planned.push({ bundle, manifest, picture, task: single(task, place) });
      }
    }
    const several = planned.some((job) => job.picture > 0);
    const named = planned.map(({ bundle, picture }) => {
      const name = this.#names.get(bundle.id) ?? bundle.id;
      return several ? `${name}, ${picture + 1}` : name;
    });
    const { imageWidth, imageHeight } = planned[0].manifest.geometry;
    const tiles = this.#stage.begin(named, prompt.value, imageWidth, imageHeight);
    return planned.map((job, place) => ({ ...job, tile: tiles[place] }));
  }

  /** Draw all; what fails with one bundle does not keep another from drawing. Return how many failed. */
  async #drawAll(jobs: readonly Job[], signal: AbortSignal): Promise<number> {
    const first = new Map<number, Drawn>();
    let failed = 0;
    for (const [place, job] of jobs.entries()) {
      const left = jobs.length > 1 ? ` (${place + 1} of ${jobs.length})` : "";
      try {
        const drawn = await this.#drawJob(job, left, signal);
        job.tile.finish(drawn, comparison(drawn, first.get(job.picture)));
        first.set(job.picture, first.get(job.picture) ?? drawn);
        await this.#keep(job, drawn);
        const { tokens, parameters } = drawn;
        document.dispatchEvent(new CustomEvent("picture", { detail: { bundle: job.bundle.id, tokens, parameters } }));
      } catch (error) {
        if (error instanceof CancelledError || signal.aborted) {
          for (const rest of jobs.slice(place)) rest.tile.fail("stopped");
          throw error;
        }
        job.tile.fail(jobs.length > 1 ? sentenceOf(error) : "");
        this.#progress.fail(error);
        failed += 1;
      }
    }
    return failed;
  }

  #drawJob({ bundle, task, tile, manifest }: Job, left: string, signal: AbortSignal): Promise<Drawn> {
    const watch: Watch = {
      onStatus: (said, share) => {
        this.#progress.show(said + left, share);
        tile.say(said);
      },
      onPreview: (preview) => tile.preview(preview),
      onWarning: (said) => this.#progress.warn(sentenceOf(said)),
    };
    const engine = engineChoice(this.#form, manifest);
    return this.#drawer.draw(bundle, task, generationOptions(this.#form), engine, watch, signal);
  }

  async #keep({ bundle, task, tile }: Job, drawn: Drawn): Promise<void> {
    const given = {
      ...("images" in task && { image: encodePng(task.images[0].picture) }),
      ...("masks" in task && { mask: encodePng(task.masks[0].picture) }),
    };
    const kept = this.#history.add({
      at: Date.now(),
      bundle: this.#names.get(bundle.id) ?? bundle.id,
      prompt: String(task.prompts[0]),
      parameters: drawn.parameters,
      png: drawn.png,
      seconds: drawn.seconds,
      ...given,
    });
    await kept.catch((error) => {
      tile.say(`${seconds(drawn.seconds)} · not kept in the history`); // it is drawn all the same
      this.#progress.warn(`The picture is not kept in the history: ${sentenceOf(error)}`);
    });
  }

  #busy(on: boolean): void {
    const hadFocus = [this.#draw, this.#stop].some((one) => one === document.activeElement);
    this.#draw.hidden = on;
    this.#stop.hidden = !on;
    if (hadFocus) (on ? this.#stop : this.#draw).focus();
  }

  async #bundlesChanged(): Promise<void> {
    const [bundle] = chosenBundles(this.#form, this.#offer.bundles);
    if (!bundle) return;
    try {
      this.#manifest = await manifestOf(bundle);
      showDefaults(this.#form, this.#manifest);
      this.#start.refresh();
    } catch (error) {
      this.#progress.fail(error);
    }
  }

  #setTask(task: TaskName): void {
    const choice = this.#form.querySelector<HTMLInputElement>(`[name=task][value=${task}]`);
    if (choice) choice.checked = true;
    this.#start.setTask(task);
  }

  #startFrom(image: ImageData, task: TaskName): void {
    this.#setTask(task);
    this.#start.set(image);
    byId("start", HTMLElement).scrollIntoView({ block: "nearest" });
    byId("prompt", HTMLTextAreaElement).focus({ preventScroll: true });
  }

  /** A picture that was drawn says from what: offer its words and settings. */
  async #readParameters(file: Blob): Promise<void> {
    const parameters = await parametersIn(new Uint8Array(await file.arrayBuffer()));
    if (taskName(this.#form) === "words" && parameters === undefined) {
      this.#setTask("vary");
    } else if (taskName(this.#form) === "words" && parameters !== undefined) {
      this.#fill(parameters);
    }
  }

  #fill(text: string): TaskName {
    const parameters = parametersFromText(text);
    fillForm(this.#form, parameters);
    const task = ({ text_to_image: "words", variation: "vary", inpainting: "repaint" } as const)[parameters.task.kind];
    this.#progress.end("The words and settings of that picture are filled in.");
    return task;
  }

  async #reuse(entry: Entry): Promise<void> {
    try {
      this.#setTask(this.#fill(entry.parameters));
      if (entry.image) {
        const mask = entry.mask && (await decode(entry.mask));
        const levels = mask && Uint8Array.from({ length: mask.data.length / 4 }, (_, i) => mask.data[4 * i]);
        const image = await decode(entry.image);
        this.#start.set(image, mask && levels && { width: mask.width, height: mask.height, data: levels });
      }
      this.#draw.focus();
    } catch (error) {
      this.#progress.fail(error);
    }
  }
}

/** A field that does not fit may stand in a group that is closed. */
function openGroup(event: Event): void {
  const group = (event.target as Element).closest("details");
  if (group) group.open = true;
}
