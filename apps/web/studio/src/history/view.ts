/** The shelf of pictures that were drawn, and one of them with its parameters. */

import { type PictureParameters, parametersFromText } from "../../../src/tasks/parameters.js";
import { button, byId, make } from "../page/dom.js";
import { seconds } from "../page/words.js";
import { save } from "./save.js";
import { type Entry, HistoryStore } from "./store.js";

export interface HistoryActions {
  /** Put the settings, and what it started from, back into the form. */
  reuse(entry: Entry): void;
  /** Start from the picture. */
  startFrom(entry: Entry): void;
}

const KINDS: Readonly<Record<string, string>> = {
  text_to_image: "created from words",
  variation: "a variation",
  inpainting: "repainted or extended",
};

export class HistoryView {
  readonly #section = byId("history", HTMLElement);
  readonly #shelf = byId("shelf", HTMLUListElement);
  readonly #dialog = byId("detail", HTMLDialogElement);
  readonly #store = new HistoryStore(() => void this.refresh());
  readonly #actions: HistoryActions;
  #addresses: string[] = [];

  constructor(actions: HistoryActions) {
    this.#actions = actions;
    byId("clear-history", HTMLButtonElement).addEventListener("click", () => this.#confirmClear());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close(); // beside it
    });
  }

  async add(entry: Omit<Entry, "id">): Promise<void> {
    await this.#store.add(entry);
    await this.refresh();
  }

  async refresh(): Promise<void> {
    const entries = await this.#store.all();
    const old = this.#addresses;
    this.#addresses = [];
    this.#shelf.replaceChildren(...entries.map((entry) => make("li", {}, this.#thumbnail(entry))));
    this.#section.hidden = !entries.length;
    for (const address of old) URL.revokeObjectURL(address);
  }

  #thumbnail(entry: Entry): HTMLButtonElement {
    const show = button("", { "aria-label": `${entry.prompt || "no words"}, ${entry.bundle}` }, () =>
      this.#show(entry),
    );
    const address = addressOf(entry.png);
    this.#addresses.push(address);
    show.append(make("img", { src: address, alt: "", loading: "lazy", decoding: "async" }));
    return show;
  }

  #show(entry: Entry): void {
    const close = (after?: () => unknown) => async (): Promise<void> => {
      this.#dialog.close();
      await after?.();
    };
    const name = `${slug(entry.prompt)}-${entry.id}`;
    const actions = [
      button("Save", {}, () => save(entry.png, `${name}.png`)),
      button(
        "Use these settings",
        {},
        close(() => this.#actions.reuse(entry)),
      ),
      button(
        "Start from it",
        {},
        close(() => this.#actions.startFrom(entry)),
      ),
    ];
    const { image, mask } = entry;
    if (image) actions.push(button("Save its start", {}, () => save(image, `${name}-start.png`)));
    if (mask) actions.push(button("Save its mask", {}, () => save(mask, `${name}-mask.png`)));
    const remove = async (): Promise<void> => {
      await this.#store.remove(entry.id);
      await this.refresh();
    };
    actions.push(button("Remove", {}, close(remove)), button("Close", {}, close()));
    const address = addressOf(entry.png);
    this.#dialog.addEventListener("close", () => URL.revokeObjectURL(address), { once: true });
    const picture = make("img", { class: "picture", src: address, alt: entry.prompt || "a picture" });
    picture.addEventListener("load", () => picture.classList.toggle("pixels", picture.naturalWidth <= 128));
    this.#dialog.replaceChildren(
      picture,
      make("h2", { id: "detail-title" }, entry.prompt || "Without words"),
      make("div", { class: "actions" }, ...actions),
      facts(entry),
    );
    this.#dialog.showModal();
  }

  #confirmClear(): void {
    const sure = async (): Promise<void> => {
      this.#dialog.close();
      await this.#store.clear();
      await this.refresh();
      byId("prompt", HTMLTextAreaElement).focus();
    };
    this.#dialog.replaceChildren(
      make("h2", { id: "detail-title" }, "Remove all pictures from the history?"),
      make("p", { class: "faint" }, "Files that you saved stay."),
      make(
        "div",
        { class: "actions" },
        button("Remove all", {}, sure),
        button("Keep them", { autofocus: true }, () => this.#dialog.close()),
      ),
    );
    this.#dialog.showModal();
  }
}

/** Return an address of a file, which lasts until it is revoked. */
function addressOf(png: Uint8Array<ArrayBuffer>): string {
  return URL.createObjectURL(new Blob([png], { type: "image/png" }));
}

function facts(entry: Entry): HTMLElement {
  const list = make("dl", { class: "facts" });
  for (const [name, value] of factsOf(entry)) {
    list.append(make("dt", {}, name), make("dd", {}, value));
  }
  return list;
}

function factsOf(entry: Entry): [string, string][] {
  const parameters = read(entry.parameters);
  const when: [string, string] = ["Drawn", `${new Date(entry.at).toLocaleString()} in ${seconds(entry.seconds)}`];
  if (!parameters) {
    return [["Bundle", entry.bundle], when];
  }
  const { task, seed, settings } = parameters;
  const all: [string, string | undefined][] = [
    ["How", KINDS[task.kind]],
    ["Bundle", entry.bundle],
    ["Seed", `${seed}${task.picture ? `, picture ${task.picture}` : ""}`],
    ["Steps", String(settings.steps)],
    ["Guidance", String(settings.guidanceScale)],
    ["Away from", typeof task.negativePrompt === "string" ? task.negativePrompt || undefined : undefined],
    ["Strength", task.own.strength === undefined ? undefined : String(task.own.strength)],
    ["Temperature", String(settings.temperature).replace(",", ", ")],
    ["Schedule", settings.schedule],
    when,
  ];
  return all.filter((fact): fact is [string, string] => fact[1] !== undefined);
}

function read(text: string): PictureParameters | undefined {
  try {
    return parametersFromText(text);
  } catch {
    return undefined; // of a later version; the picture is shown all the same
  }
}

/** Return words as a short name of a file. */
export function slug(words: string): string {
  const letters = words.toLowerCase().replace(/[^\p{L}\p{N}\p{M}]+/gu, "-");
  return letters.replace(/^-+|-+$/g, "").slice(0, 48) || "picture";
}
