/** Measures bundles in turns, and keeps every turn's record. */

import type { Manifest } from "../../../src/bundle/manifest.js";
import { CancelledError, ProviderError } from "../../../src/errors.js";
import { memoryNeeds, type RemotePipeline } from "../../../src/web/index.js";
import type { BundleInfo, PlainSettings } from "../compute/bundles.js";
import type { Watch } from "../compute/draw.js";
import { manifestOf } from "../compute/manifests.js";
import { open } from "../compute/page-drawer.js";
import { defaultThreads, memoryBudget } from "../compute/surroundings.js";
import { thermalState } from "./device.js";
import { Instruments } from "./instruments.js";
import {
  keepRun,
  type Run,
  type Subject,
  type SubjectFacts,
  type Timed,
  type Turn,
  type TurnRecord,
  turnsLeft,
  turnsOf,
} from "./plan.js";
import { qualityOf } from "./quality.js";
import { plainSettings, runtimeSettings } from "./settings.js";

const WARM_UP_STEPS = 2;
const WARM_UP_CALLS = 2;
const MOST_ATTEMPTS = 2;

export type Tell = (text: string, share?: number) => void;

export interface Course {
  readonly run: Run;
  readonly bundles: readonly BundleInfo[];
  readonly tell: Tell;
  /** Called after everything that is worth keeping. */
  readonly kept: (run: Run) => void;
  readonly signal: AbortSignal;
}

type Place = Pick<TurnRecord, "round" | "label" | "threads">;
type Figures = Omit<TurnRecord, "round" | "label" | "threads">;

interface Opened {
  readonly pipeline: RemotePipeline;
  readonly instruments: Instruments;
  readonly began: number;
}

/** Do what is left of a run: every bundle's check, then its turns. */
export async function measure(course: Course): Promise<void> {
  const { run } = course;
  for (const subject of run.plan.subjects) {
    if (!isChecked(run, subject)) {
      const places = run.plan.threads.map((threads) => ({ round: 0, label: subject.label, threads }));
      await attempt(course, `check ${subject.label}`, places, () => check(course, subject));
    }
  }
  const all = turnsOf(run.plan).length;
  for (let left = turnsLeft(run); left.length; left = turnsLeft(run)) {
    const [{ round, subject, threads }] = left;
    const place = { round, label: subject.label, threads };
    const share = (all - left.length) / all;
    const tell: Tell = (said, part = 0) =>
      course.tell(`Round ${round + 1} of ${run.plan.rounds}, ${subject.label}: ${said}`, share + part / all);
    await attempt(course, `${round} ${subject.label} ${threads}`, [place], async () => {
      run.turns.push({ ...place, ...(await takeTurn({ ...course, tell }, left[0])) });
    });
  }
  run.finished = true;
  keepRun(run);
}

/** Whether a bundle's facts are known, and what its quality is told by was sent or is here. */
function isChecked({ plan, facts, quality, qualitySent }: Run, { label }: Subject): boolean {
  const isKnown = facts.some((one) => one.label === label);
  return isKnown && (plan.quality === undefined || qualitySent || quality.some((one) => one.label === label));
}

/** Do some work, and record its error in all places that it is of; work that ended the page twice is an error too. */
async function attempt(
  { run, kept, signal }: Course,
  key: string,
  places: readonly Place[],
  work: () => Promise<void>,
): Promise<void> {
  const attempts = run.doing?.key === key ? run.doing.attempts + 1 : 1;
  const isOpen = ({ label, threads }: Place): boolean =>
    !run.turns.some((turn) => turn.label === label && turn.threads === threads && turn.error);
  if (!isOpen(places[0])) return;
  run.doing = { key, attempts };
  keepRun(run);
  try {
    if (attempts > MOST_ATTEMPTS) {
      throw new ProviderError("the browser ended the page twice while this was measured (out of memory?)");
    }
    await work();
  } catch (error) {
    if (error instanceof CancelledError || signal.aborted) {
      run.doing = undefined;
      keepRun(run);
      throw error;
    }
    const said = error instanceof Error ? error.message : String(error);
    run.turns.push(...places.filter(isOpen).map((place) => ({ ...place, error: said })));
  }
  run.doing = undefined;
  keepRun(run);
  kept(run);
}

/** Fetch a bundle, draw its golden picture, keep what Python can compare. */
async function check(course: Course, subject: Subject): Promise<void> {
  const { run, signal, tell } = course;
  const { plan } = run;
  const bundle = bundleOf(course, subject);
  const manifest = await manifestOf(bundle);
  plan.settings = plan.settings.length ? plan.settings : [ownSettings(manifest, plan.steps)];
  const opened = await openMeasured(course, bundle, manifest, plan.threads[0]);
  const { pipeline } = opened;
  try {
    tell(`${subject.label}: checking that this device computes rightly`);
    const { sameIds, logitError, equalTokens, pixelError, reproduced } = await pipeline.checkGolden({ signal });
    const { label } = subject;
    run.golden = run.golden.filter((one) => one.label !== label);
    run.golden.push({ label, sameIds, logitError, equalTokens, pixelError, reproduced });
    run.facts = [...run.facts.filter((one) => one.label !== label), factsOf(label, bundle, manifest, pipeline)];
    if (!reproduced) {
      throw new ProviderError(
        `this device computes the bundle wrongly: logits differ by ${logitError.toExponential(1)}`,
      );
    }
    if (plan.quality) {
      tell(`${label}: a picture to compare`);
      run.quality.push(await qualityOf(label, plan, plan.quality, plan.settings[0], opened, signal));
    }
  } finally {
    await pipeline.close().catch(() => undefined);
  }
}

function ownSettings({ sampler }: Manifest, steps: number | undefined): PlainSettings {
  return plainSettings({ ...sampler, ...(steps !== undefined && { steps }) });
}

function factsOf(label: string, bundle: BundleInfo, manifest: Manifest, pipeline: RemotePipeline): SubjectFacts {
  const bytes = Object.entries(manifest.graphs).map(([role, { files }]): [string, number] => [
    role,
    files.reduce((sum, one) => sum + one.bytes, 0),
  ]);
  return {
    label,
    model: manifest.model.name,
    target: manifest.target,
    recipe: bundle.recipe === "float32" ? "" : bundle.recipe,
    manifest_sha256: pipeline.bundleSha256,
    bytes: Object.fromEntries(bytes),
    lowMemory: !keepsGraphs(manifest),
  };
}

/** Load, draw and time: all figures of one turn. */
async function takeTurn(course: Course, { subject, round, threads }: Turn): Promise<Figures> {
  const { run, signal, tell } = course;
  const { plan } = run;
  const bundle = bundleOf(course, subject);
  const { pipeline, instruments, began } = await openMeasured(course, bundle, await manifestOf(bundle), threads);
  const drawn = async (plain: PlainSettings, steps = plain.steps): Promise<number> => {
    const start = performance.now();
    await pipeline.generate(plan.prompt, { ...runtimeSettings(plain), steps, seed: plan.seed, signal });
    return (performance.now() - start) / 1000;
  };
  try {
    const [settings] = plan.settings;
    tell("warming up");
    const opened = (performance.now() - began) / 1000;
    const whole = await drawn(settings, WARM_UP_STEPS);
    const loaded = instruments.memory;
    const first = await drawn(settings, WARM_UP_STEPS);
    const load = Math.max(0, whole - first);
    const pictures = await timePictures(course, drawn, tell);
    tell("calls of each graph", 0.9);
    for (let i = 0; i < WARM_UP_CALLS; i++) await drawn(settings, 1);
    instruments.begin();
    for (let i = 0; i < plan.calls; i++) await drawn(settings, 1);
    const stages = instruments.stages();
    return { ready: opened + load, load, first, pictures, stages, loaded, peak: instruments.memory };
  } finally {
    await pipeline.close().catch(() => undefined);
    if (document.visibilityState === "hidden") note(run, `round ${round + 1}: the page was not in front`);
  }
}

/** Draw the plan's pictures with each of its settings. */
async function timePictures(
  { run: { plan, begun } }: Course,
  drawn: (settings: PlainSettings) => Promise<number>,
  tell: Tell,
): Promise<Timed[]> {
  const pictures: Timed[] = [];
  const all = plan.settings.length * plan.pictures;
  for (const [setting, settings] of plan.settings.entries()) {
    for (let i = 0; i < plan.pictures; i++) {
      tell(`picture ${pictures.length + 1} of ${all}`, (0.9 * pictures.length) / all);
      const at = (Date.now() - begun) / 1000;
      pictures.push({ at, seconds: await drawn(settings), thermal: thermalState(), setting });
    }
  }
  return pictures;
}

async function openMeasured(
  course: Course,
  bundle: BundleInfo,
  manifest: Manifest,
  threads: number | null,
): Promise<Opened> {
  const { plan } = course.run;
  const began = performance.now();
  const url = new URL("worker.js", document.baseURI);
  url.searchParams.set("measure", plan.provider);
  url.searchParams.set("ort", new URL("ort/", document.baseURI).href);
  const worker = new Worker(url, { type: "module" });
  const instruments = new Instruments(worker);
  const watch: Pick<Watch, "onStatus" | "onWarning"> = {
    onStatus: course.tell,
    onWarning: (said) => note(course.run, said),
  };
  const engine = { provider: plan.provider, threads: threadsOf(threads) };
  if (threads === null && plan.provider === "wasm") note(course.run, threadsTold(engine.threads));
  // No golden check on the way: it is made once, before the rounds; nothing remembered, so that all calls are made.
  const pipeline = await open(bundle, engine, keepsGraphs(manifest), watch, course.signal, worker, {
    checkGolden: false,
    rememberedPrompts: 0,
  });
  return { pipeline, instruments, began };
}

/** Where the plan leaves them open, one where more fail; else the engine chooses. */
function threadsOf(threads: number | null): number | undefined {
  return threads ?? defaultThreads();
}

function threadsTold(threads: number | undefined): string {
  if (threads === 1) return "one thread: the page is not isolated, or it is iOS";
  return threads === undefined ? "threads chosen by the engine" : `${threads} threads, chosen by the page`;
}

function keepsGraphs(manifest: Manifest): boolean {
  return memoryNeeds(manifest, true).peak <= memoryBudget();
}

function bundleOf({ bundles }: Course, { id, label }: Subject): BundleInfo {
  const found = bundles.find((one) => one.id === id);
  if (!found) throw new ProviderError(`the server does not offer ${label} any more`);
  return found;
}

function note(run: Run, said: string): void {
  if (!run.notes.includes(said)) run.notes.push(said);
}
