/** The benchmark's view: a plan is chosen, measured in turns, shown, and handed to the server. */

import { CancelledError, OptionsError } from "../../../src/errors.js";
import { labels, type Offer } from "../compute/bundles.js";
import { hasThreads, hasWebGpu } from "../compute/surroundings.js";
import { save } from "../history/save.js";
import { number, text } from "../options/read.js";
import { button, byId, make } from "../page/dom.js";
import { ProgressView } from "../page/progress.js";
import { percent } from "../page/words.js";
import { chosenBundles, offerBundles } from "../stage/bundle-chips.js";
import { type Battery, battery, type DeviceFacts, deviceFacts, keepAwake, watchPressure } from "./device.js";
import { measure } from "./measure.js";
import { keepRun, keptRun, type Plan, type Run, turnsLeft, turnsOf } from "./plan.js";
import { reportOf } from "./report.js";
import { type Circumstances, resultsOf } from "./results.js";
import { send } from "./send.js";

declare const ORT_VERSION: string;

const PROMPT = "a red fox in the snow";

export function startBenchmark(offer: Offer): void {
  const view = new BenchmarkView(offer);
  void view.begin();
}

class BenchmarkView {
  readonly #offer: Offer;
  readonly #names: Map<string, string>;
  readonly #form = byId("bench-form", HTMLFormElement);
  readonly #start = byId("bench-start", HTMLButtonElement);
  readonly #stop = byId("bench-stop", HTMLButtonElement);
  readonly #results = byId("bench-results", HTMLElement);
  readonly #progress = new ProgressView("bench-");
  readonly #facts: Promise<DeviceFacts> = deviceFacts();
  #before: Battery | undefined;
  #abort: AbortController | undefined;
  /** The one that is shown, and kept. */
  #run: Run | undefined;
  #goOn: HTMLElement | undefined;
  /** Ends when all that was handed over so far has arrived, or failed to. */
  #sending = Promise.resolve();
  #unsent: string | undefined;

  constructor(offer: Offer) {
    this.#offer = offer;
    this.#names = labels(offer.bundles);
    offerBundles(byId("bench-bundles", HTMLFieldSetElement), offer.bundles, this.#names, true);
    this.#showPlan();
    byId("bench-provider", HTMLSelectElement).disabled = !hasWebGpu();
    byId("bench-threads", HTMLInputElement).disabled = !hasThreads();
    this.#stop.addEventListener("click", () => this.#abort?.abort());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#measureNew();
    });
  }

  /** Of a plan of the server nothing is chosen here; it is told. */
  #showPlan(): void {
    const plan = this.#offer.device;
    const said = byId("bench-plan", HTMLElement);
    said.hidden = !plan;
    if (!plan) return;
    byId("bench-bundles", HTMLFieldSetElement).hidden = true;
    byId("bench-choices", HTMLElement).hidden = true;
    const steps = plan.settings.map((settings) => settings.steps).join(", ");
    said.textContent =
      `${plan.subjects.map((subject) => subject.label).join(", ")}: ${plan.rounds} ${plan.rounds === 1 ? "round" : "rounds"}, with ${plan.pictures} ` +
      `${plan.pictures === 1 ? "picture" : "pictures"} of ${steps} steps a turn and ${plan.calls} calls of each graph.`;
  }

  async begin(): Promise<void> {
    const run = keptRun();
    const isAsked = !this.#offer.device || JSON.stringify(run?.plan) === JSON.stringify(this.#plan());
    if (run && isAsked) {
      this.#run = run;
      this.#show(run);
      if (run.finished) {
        this.#progress.end("This was measured before.");
        if (!run.sent) void this.#handAgain(run);
      } else if (run.doing && location.hash === "#benchmark") {
        await this.#measure(run); // the page was loaded again, or the browser ended it
      } else {
        this.#offerToGoOn(run);
      }
    }
    await this.#showDevice();
  }

  async #measureNew(): Promise<void> {
    try {
      const run: Run = {
        id: identity(),
        plan: this.#plan(),
        begun: Date.now(),
        facts: [],
        golden: [],
        quality: [],
        qualitySent: false,
        turns: [],
        notes: [],
        finished: false,
        sent: false,
      };
      await this.#measure(run);
    } catch (error) {
      this.#progress.fail(error);
    }
  }

  /** Return what the server wants measured, or what is chosen here. */
  #plan(): Plan {
    const { device, bundles: offered } = this.#offer;
    if (device) {
      const subjects = device.subjects.map(({ label, bundle: id }) => ({ id, label }));
      return { ...device, subjects, steps: undefined };
    }
    const form = this.#form;
    const bundles = chosenBundles(form, offered);
    if (!bundles.length) throw new OptionsError("no bundle is chosen; choose at least one");
    return {
      subjects: bundles.map(({ id }) => ({ id, label: this.#names.get(id) ?? id })),
      rounds: number(form, "rounds") ?? 5,
      pictures: number(form, "pictures") ?? 1,
      calls: number(form, "calls") ?? 5,
      prompt: PROMPT,
      seed: 0,
      settings: [],
      steps: number(form, "steps"),
      provider: text(form, "provider") === "webgpu" ? "webgpu" : "wasm",
      threads: [number(form, "threads") ?? null],
      quality: undefined,
    };
  }

  async #measure(run: Run): Promise<void> {
    if (this.#abort) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.#run = run;
    this.#goOn?.remove();
    this.#busy(true);
    this.#progress.begin();
    this.#before = await battery();
    void watchPressure();
    const sleep = await keepAwake();
    try {
      await measure({
        run,
        bundles: this.#offer.bundles,
        tell: (said, share) => this.#progress.show(said, share),
        kept: () => void this.#hand(run),
        signal: abort.signal,
      });
      await this.#hand(run);
      const failed = run.turns.length > 0 && run.turns.every((turn) => turn.error);
      this.#progress.end(`${failed ? "Nothing could be measured." : "Measured."} ${this.#sentence(run)}`);
    } catch (error) {
      if (error instanceof CancelledError || abort.signal.aborted) {
        this.#offerToGoOn(run);
      } else {
        this.#progress.fail(error);
      }
    } finally {
      sleep();
      this.#abort = undefined;
      this.#busy(false);
    }
  }

  #sentence({ facts }: Run): string {
    if (!this.#offer.device) return "Save the results to keep them.";
    if (!facts.length) return "There was nothing to send.";
    return this.#unsent ? `The results could not be sent: ${this.#unsent}.` : "The results were sent.";
  }

  #offerToGoOn(run: Run): void {
    const all = turnsOf(run.plan).length;
    this.#progress.end(`Stopped: ${all - turnsLeft(run).length} of ${all} turns are done.`);
    this.#goOn = make(
      "div",
      { class: "actions" },
      button("Go on", {}, () => void this.#measure(run)),
    );
    byId("bench-status", HTMLElement).after(this.#goOn);
  }

  /** Show and send what there is, and offer it as a file. What was handed over before arrives before. */
  #hand(run: Run): Promise<void> {
    this.#show(run);
    this.#sending = this.#sending.catch(() => undefined).then(() => this.#send(run));
    return this.#sending;
  }

  /** What was finished may not have arrived; a server that has it takes it once more. */
  async #handAgain(run: Run): Promise<void> {
    if (!this.#offer.device || !run.facts.length) return;
    await this.#hand(run);
    if (this.#run === run) this.#progress.end(`This was measured before. ${this.#sentence(run)}`);
  }

  async #send(run: Run): Promise<void> {
    if (this.#offer.device && run.facts.length && !run.sent) {
      const circumstances = await this.#circumstances();
      const results = resultsOf(run, circumstances);
      const { finished, quality, turns } = run; // as they are sent: measuring goes on meanwhile
      const held = new Set(quality);
      const known = new Set([...quality, ...turns.filter((turn) => turn.error)].map((one) => one.label));
      this.#unsent = await send(results);
      if (this.#unsent === undefined) {
        run.sent = finished;
        if (run.plan.subjects.every(({ label }) => known.has(label))) {
          run.quality = run.quality.filter((one) => !held.has(one));
          run.qualitySent = true;
        }
      }
    }
    if (this.#run === run) keepRun(run);
  }

  async #circumstances(): Promise<Circumstances> {
    const versions = { "amused-edge": this.#offer.version || "unknown", "onnxruntime-web": ORT_VERSION };
    return { device: await this.#facts, versions, before: this.#before, now: await battery() };
  }

  #show(run: Run): void {
    const saveResults = async (): Promise<void> => {
      const content = JSON.stringify(resultsOf(run, await this.#circumstances()), undefined, 1);
      save(new TextEncoder().encode(content), "results.json", "application/json");
    };
    const cards = reportOf(run);
    const row = make("div", { class: "actions" }, button("Save the results", {}, saveResults));
    this.#results.replaceChildren(...cards, ...(cards.length ? [row] : []));
    this.#results.hidden = !cards.length;
  }

  #busy(on: boolean): void {
    const focused = [this.#start, this.#stop].some((one) => one === document.activeElement);
    this.#start.hidden = on;
    this.#stop.hidden = !on;
    for (const field of this.#form.querySelectorAll<HTMLInputElement>("input, select")) {
      field.toggleAttribute("inert", on);
    }
    if (focused) (on ? this.#stop : this.#start).focus();
  }

  async #showDevice(): Promise<void> {
    const facts = await this.#facts;
    const power = await battery();
    const said: [string, string][] = [
      ["Device", facts.device],
      ["System", facts.system],
      ["Browser", facts.runtime],
      ["Processor", `${facts.cpu}, ${facts.cores} cores`],
      [
        "Memory",
        facts.memory === null ? "not told by the browser" : `${Math.round(facts.memory / 2 ** 30)} GB or more`,
      ],
      ["Graphics", facts.gpu || "not told by the browser"],
      [
        "Battery",
        power ? `${percent(power.level)}, ${power.charging ? "charging" : "not charging"}` : "not told by the browser",
      ],
      ["Threads", hasThreads() ? "yes" : "no: the page is not isolated"],
    ];
    byId("device", HTMLElement).replaceChildren(
      ...said.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
    );
  }
}

/** Return a name for a run that no other has; `randomUUID` is for secure pages alone. */
function identity(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
