/** Measures bundles in turns, and keeps every turn's record. */

import type { Manifest } from "../../../src/bundle/manifest.js";
import { GOLDEN_NAME } from "../../../src/bundle/manifest.js";
import { CancelledError, ProviderError } from "../../../src/errors.js";
import { memoryNeeds, type RemotePipeline } from "../../../src/web/index.js";
import type { BundleInfo } from "../compute/bundles.js";
import type { Watch } from "../compute/draw.js";
import { folderOf, manifestOf } from "../compute/manifests.js";
import { open } from "../compute/page-drawer.js";
import { defaultThreads, memoryBudget } from "../compute/surroundings.js";
import { thermalState } from "./device.js";
import { Instruments } from "./instruments.js";
import { keepRun, type Plan, type Run, type Subject, type Timed, type TurnRecord, turnsLeft, turnsOf } from "./plan.js";
import { qualityOf } from "./quality.js";

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

interface Opened {
  readonly pipeline: RemotePipeline;
  readonly instruments: Instruments;
  readonly began: number;
}

/** Do what is left of a run: every bundle's check, then its turns. */
export async function measure(course: Course): Promise<void> {
  const { run } = course;
  for (const subject of run.plan.subjects) {
    if (!run.facts.some((facts) => facts.label === subject.label)) {
      await attempt(course, `check ${subject.label}`, { round: 0, label: subject.label }, () => check(course, subject));
    }
  }
  const all = turnsOf(run.plan).length;
  for (let left = turnsLeft(run); left.length; left = turnsLeft(run)) {
    const [{ round, subject }] = left;
    const place = { round, label: subject.label };
    const share = (all - left.length) / all;
    const tell: Tell = (said, part = 0) =>
      course.tell(`Round ${round + 1} of ${run.plan.rounds}, ${subject.label}: ${said}`, share + part / all);
    await attempt(course, `${round} ${subject.label}`, place, async () => {
      run.turns.push({ ...place, ...(await takeTurn({ ...course, tell }, subject, round)) });
    });
  }
  run.finished = true;
  keepRun(run);
}

/** Do some work, and record its error; work that ended the page twice is an error too. */
async function attempt(
  { run, kept, signal }: Course,
  key: string,
  place: Pick<TurnRecord, "round" | "label">,
  work: () => Promise<void>,
): Promise<void> {
  const attempts = run.doing?.key === key ? run.doing.attempts + 1 : 1;
  if (run.turns.some((turn) => turn.label === place.label && turn.error)) return;
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
    run.turns.push({ ...place, error: error instanceof Error ? error.message : String(error) });
  }
  run.doing = undefined;
  keepRun(run);
  kept(run);
}

/** Fetch a bundle, draw its golden picture, keep what Python can compare. */
async function check(course: Course, subject: Subject): Promise<void> {
  const { run, signal, tell } = course;
  const bundle = bundleOf(course, subject);
  const manifest = await manifestOf(bundle);
  const { pipeline, instruments } = await openMeasured(course, bundle, manifest);
  try {
    tell(`${subject.label}: checking that this device computes rightly`);
    const report = await pipeline.checkGolden({ signal });
    const url = folderOf(bundle) + GOLDEN_NAME;
    run.quality.push(await qualityOf(subject.label, url, pipeline, instruments, signal));
    const { sameIds, logitError, equalTokens, pixelError, reproduced } = report;
    run.golden.push({ label: subject.label, sameIds, logitError, equalTokens, pixelError, reproduced });
    run.facts.push({
      label: subject.label,
      model: manifest.model.name,
      target: manifest.target,
      recipe: bundle.recipe === "float32" ? "" : bundle.recipe,
      manifest_sha256: pipeline.bundleSha256,
      bytes: Object.fromEntries(
        Object.entries(manifest.graphs).map(([role, { files }]) => [
          role,
          files.reduce((sum, one) => sum + one.bytes, 0),
        ]),
      ),
      settings: { ...manifest.sampler, ...(run.plan.steps !== undefined && { steps: run.plan.steps }) },
      lowMemory: !keepsGraphs(manifest),
    });
    if (!reproduced) {
      throw new ProviderError(
        `this device computes the bundle wrongly: logits differ by ${logitError.toExponential(1)}`,
      );
    }
  } finally {
    await pipeline.close().catch(() => undefined);
  }
}

/** Load, draw and time: all figures of one turn. */
async function takeTurn(course: Course, subject: Subject, round: number): Promise<Omit<TurnRecord, "round" | "label">> {
  const { run, signal, tell } = course;
  const { plan } = run;
  const bundle = bundleOf(course, subject);
  const { pipeline, instruments, began } = await openMeasured(course, bundle, await manifestOf(bundle));
  try {
    const [facts] = run.facts;
    const settings = facts.settings;
    const drawn = async (steps: number): Promise<number> => {
      const start = performance.now();
      await pipeline.generate(plan.prompt, { ...settings, steps, seed: plan.seed, signal });
      return (performance.now() - start) / 1000;
    };
    tell("warming up");
    const opened = (performance.now() - began) / 1000;
    const whole = await drawn(WARM_UP_STEPS);
    const loaded = instruments.memory;
    const first = await drawn(WARM_UP_STEPS);
    const load = Math.max(0, whole - first);
    const pictures: Timed[] = [];
    for (let i = 0; i < plan.pictures; i++) {
      tell(`picture ${i + 1} of ${plan.pictures}`, i / (plan.pictures + 1));
      const at = (Date.now() - run.begun) / 1000;
      pictures.push({ at, seconds: await drawn(settings.steps), thermal: thermalState() });
    }
    tell("calls of each graph", plan.pictures / (plan.pictures + 1));
    for (let i = 0; i < WARM_UP_CALLS; i++) await drawn(1);
    instruments.begin();
    for (let i = 0; i < plan.calls; i++) await drawn(1);
    const stages = instruments.stages();
    return { ready: opened + load, load, first, pictures, stages, loaded, peak: instruments.memory };
  } finally {
    await pipeline.close().catch(() => undefined);
    if (document.visibilityState === "hidden") note(run, `round ${round + 1}: the page was not in front`);
  }
}

async function openMeasured(course: Course, bundle: BundleInfo, manifest: Manifest): Promise<Opened> {
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
  const engine = { provider: plan.provider, threads: threadsOf(plan) };
  // No golden check on the way: it is made once, before the rounds; nothing remembered, so that all calls are made.
  const pipeline = await open(bundle, engine, keepsGraphs(manifest), watch, course.signal, worker, {
    checkGolden: false,
    rememberedPrompts: 0,
  });
  return { pipeline, instruments, began };
}

export function threadsOf({ threads }: Plan): number | undefined {
  return threads ?? defaultThreads();
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
