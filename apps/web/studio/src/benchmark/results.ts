/** What a run comes to: `results.json` as every runtime's benchmark writes it (benchmarks/device/results.schema.json). */

import type { Battery, DeviceFacts } from "./device.js";
import type { Plan, Run, TurnRecord } from "./plan.js";
import { type Ratio, ratio, type Summary, summary } from "./summary.js";

export interface Timing {
  readonly label: string;
  readonly threads: number | null;
  readonly batch: 1;
  readonly part: string;
  readonly cold: false;
  readonly steps: number | null;
  readonly guidance_scale: number | null;
  readonly seconds: Summary;
  readonly rounds: readonly number[];
  readonly ratio: Ratio | null;
}

export interface Circumstances {
  readonly device: DeviceFacts;
  readonly versions: Readonly<Record<string, string>>;
  readonly before: Battery | undefined;
  readonly now: Battery | undefined;
}

const PICTURE = "picture";
const LOADING = ["ready", "load", "first picture"];
const STAGES = ["text_encoder", "conditioner", "denoiser", "image_decoder"];

/** Return the figures of a run as far as it is; ratios are to the first subject. */
export function resultsOf(run: Run, { device, versions, before, now }: Circumstances): Record<string, unknown> {
  const { plan } = run;
  const { device: name, runtime, cpu, cores, memory, system, gpu, userAgent } = device;
  return {
    schema_version: 1,
    format: "amused-edge benchmark",
    kind: "latency",
    made: new Date().toISOString().replace("Z", "+00:00"),
    rounds: plan.rounds,
    environment: {
      device: name,
      runtime,
      cpu,
      cores,
      memory,
      system,
      packages: versions,
      flags: flagsOf(run, before, now),
    },
    subjects: plan.subjects.map(({ label }) => subject(run, label)),
    prompt: plan.prompt,
    seed: plan.seed,
    settings: plan.settings,
    threads: plan.threads,
    batches: [1],
    pictures: plan.pictures,
    calls: plan.calls,
    timings: timingsOf(run),
    footprints: footprintsOf(run),
    failures: run.turns.flatMap(({ label, threads, error }) =>
      error === undefined ? [] : [{ label, threads, batch: 1, reason: error.slice(0, 900) }],
    ),
    golden: run.golden.map(({ label, sameIds, logitError, equalTokens, pixelError, reproduced }) => ({
      label,
      same_ids: sameIds,
      logit_error: logitError,
      equal_tokens: equalTokens,
      pixel_error: pixelError,
      reproduced,
    })),
    course: courseOf(run),
    ...(run.quality.length && { quality: run.quality }),
    run: run.id,
    complete: run.finished,
    browser: {
      user_agent: userAgent,
      graphics: gpu,
      isolated: globalThis.crossOriginIsolated === true,
      secure: globalThis.isSecureContext,
      battery_before: before ?? null,
      battery_after: now ?? null,
      screen: [screen.width, screen.height, devicePixelRatio],
    },
  };
}

/** What else bears on the figures, for people. */
function flagsOf({ plan, facts, notes }: Run, before: Battery | undefined, now: Battery | undefined): string[] {
  const low = facts.filter((one) => one.lowMemory).map((one) => `${one.label}: one graph in memory at a time`);
  const battery = before && now ? [`battery ${charge(before)}, then ${charge(now)}`] : [];
  const flags = [`provider ${plan.provider}`, "memory is WebAssembly's alone", ...low, ...battery, ...notes];
  return flags.map((flag) => flag.slice(0, 900));
}

function charge({ level, charging }: Battery): string {
  return `${Math.round(100 * level)} %${charging ? " and charging" : ""}`;
}

function subject({ facts }: Run, label: string): Record<string, unknown> {
  const found = facts.find((one) => one.label === label);
  if (!found) return { label, kind: "bundle" };
  const { model, target, recipe, manifest_sha256, bytes } = found;
  return { label, kind: "bundle", model, target, recipe, manifest_sha256, bytes };
}

/** Return the times of every part of every subject. */
export function timingsOf({ plan, turns }: Run): Timing[] {
  const timings: Timing[] = [];
  for (const { label } of plan.subjects) {
    for (const threads of plan.threads) {
      for (const part of partsOf(plan)) {
        const values = (of: string): Samples =>
          new Map(
            turns
              .filter((turn) => turn.label === of && turn.threads === threads)
              .map((turn) => [turn.round, valuesOf(turn, part)] as const)
              .filter(([, found]) => found.length),
          );
        const found = values(label);
        if (found.size) timings.push(timing({ label, threads, part }, found, values(plan.subjects[0].label)));
      }
    }
  }
  return timings;
}

interface Part {
  readonly name: string;
  /** Of pictures: which of the plan's settings. */
  readonly setting?: number;
  readonly steps: number | null;
  readonly guidance: number | null;
}

function partsOf({ settings }: Plan): Part[] {
  const single = (name: string): Part => ({ name, steps: null, guidance: null });
  const pictures = settings.map(({ steps, guidance_scale: guidance }, setting) => ({
    name: PICTURE,
    setting,
    steps,
    guidance,
  }));
  return [...LOADING.map(single), ...pictures, ...STAGES.map(single)];
}

/** Of each round. */
type Samples = ReadonlyMap<number, readonly number[]>;

function timing(
  { label, threads, part }: { label: string; threads: number | null; part: Part },
  found: Samples,
  baseline: Samples,
): Timing {
  return {
    label,
    threads,
    batch: 1,
    part: part.name,
    cold: false,
    steps: part.steps,
    guidance_scale: part.guidance,
    seconds: summary([...found.values()].flat()),
    rounds: [...found.values()].map((values) => summary(values).median),
    ratio: ratio(found, baseline),
  };
}

function valuesOf(
  { ready, load, first, pictures = [], stages }: TurnRecord,
  { name, setting }: Part,
): readonly number[] {
  if (name === PICTURE) {
    return pictures.filter((picture) => picture.setting === setting).map((picture) => picture.seconds);
  }
  const single: Record<string, number | undefined> = { ready, load, "first picture": first };
  const value = single[name];
  return value === undefined ? (stages?.[name] ?? []) : [value];
}

function footprintsOf({ plan, turns }: Run): Record<string, unknown>[] {
  return plan.subjects.flatMap(({ label }) =>
    plan.threads.flatMap((threads) => {
      const found = turns.filter((turn) => turn.label === label && turn.threads === threads);
      const most = (name: "loaded" | "peak"): number => Math.max(...found.map((turn) => turn[name] ?? 0));
      const memory = (total: number) => ({ total, anonymous: null, file_backed: null });
      return found.some((turn) => turn.peak)
        ? [{ label, threads, batch: 1, loaded: memory(most("loaded")), peak: memory(most("peak")) }]
        : [];
    }),
  );
}

/** Return the pictures timed with the first settings and threads, in order: the first and the last are alike. */
export function courseOf({ plan, turns }: Run): {
  label: string;
  round: number;
  at: number;
  seconds: number;
  thermal: string;
  celsius: null;
}[] {
  return turns
    .filter(({ threads }) => threads === plan.threads[0])
    .flatMap(({ label, round, pictures = [] }) =>
      pictures
        .filter(({ setting }) => setting === 0)
        .map(({ at, seconds, thermal }) => ({ label, round, at, seconds, thermal, celsius: null })),
    )
    .sort((a, b) => a.at - b.at);
}
