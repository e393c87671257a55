/** What a run comes to: `results.json` as every runtime's benchmark writes it (benchmarks/device/results.schema.json). */

import type { Battery, DeviceFacts } from "./device.js";
import { threadsOf } from "./measure.js";
import type { Run, TurnRecord } from "./plan.js";
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
const STAGES = ["text_encoder", "conditioner", "denoiser", "image_decoder"];

/** Return the figures of a run as far as it is; ratios are to the first subject. */
export function resultsOf(run: Run, { device, versions, before, now }: Circumstances): Record<string, unknown> {
  const { plan } = run;
  const {
    steps = null,
    guidanceScale = null,
    temperature,
    schedule,
    guidanceRamp,
    guidanceInterval,
    order,
  } = run.facts[0]?.settings ?? {};
  const threads = threadsOf(plan) ?? null;
  const settings = {
    steps,
    guidance_scale: guidanceScale,
    temperature,
    schedule,
    guidance_ramp: guidanceRamp,
    guidance_interval: guidanceInterval,
    order,
  };
  const { device: name, runtime, cpu, cores, memory, system, gpu, userAgent } = device;
  return {
    schema_version: 1,
    format: "amused-edge benchmark",
    kind: "latency",
    made: new Date().toISOString().replace("Z", "+00:00"),
    rounds: plan.rounds,
    environment: { device: name, runtime, cpu, cores, memory, system, packages: versions, flags: flagsOf(run) },
    subjects: plan.subjects.map(({ label }) => subject(run, label)),
    prompt: plan.prompt,
    seed: plan.seed,
    settings: [settings],
    threads: [threads],
    batches: [1],
    pictures: plan.pictures,
    calls: plan.calls,
    timings: timingsOf(run),
    footprints: footprintsOf(run, threads),
    failures: run.turns.flatMap(({ label, error }) =>
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
    quality: run.quality,
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

function flagsOf({ plan, facts, notes }: Run): string[] {
  const low = facts.filter((one) => one.lowMemory).map((one) => `${one.label}: one graph in memory at a time`);
  return [`provider ${plan.provider}`, "memory is WebAssembly's alone", ...low, ...notes].map((flag) =>
    flag.slice(0, 900),
  );
}

function subject({ facts }: Run, label: string): Record<string, unknown> {
  const found = facts.find((one) => one.label === label);
  if (!found) return { label, kind: "bundle" };
  const { model, target, recipe, manifest_sha256, bytes } = found;
  return { label, kind: "bundle", model, target, recipe, manifest_sha256, bytes };
}

/** Return the times of every part of every subject. */
export function timingsOf(run: Run): Timing[] {
  const { plan, facts } = run;
  const { steps = null, guidanceScale = null } = facts[0]?.settings ?? {};
  const threads = threadsOf(plan) ?? null;
  const rounds = (label: string, part: string): Map<number, readonly number[]> =>
    new Map(
      run.turns
        .filter((turn) => turn.label === label)
        .map((turn) => [turn.round, valuesOf(turn, part)] as const)
        .filter(([, values]) => values.length),
    );
  const timings: Timing[] = [];
  for (const { label } of plan.subjects) {
    for (const part of ["ready", "load", "first picture", PICTURE, ...STAGES]) {
      const found = rounds(label, part);
      if (!found.size) continue;
      const ofPicture = part === PICTURE;
      timings.push({
        label,
        threads,
        batch: 1,
        part,
        cold: false,
        steps: ofPicture ? steps : null,
        guidance_scale: ofPicture ? guidanceScale : null,
        seconds: summary([...found.values()].flat()),
        rounds: [...found.values()].map((values) => summary(values).median),
        ratio: ratio(found, rounds(plan.subjects[0].label, part)),
      });
    }
  }
  return timings;
}

function valuesOf({ ready, load, first, pictures, stages }: TurnRecord, part: string): readonly number[] {
  const single: Record<string, number | undefined> = { ready, load, "first picture": first };
  if (part === PICTURE) return pictures?.map((picture) => picture.seconds) ?? [];
  const value = single[part];
  return value === undefined ? (stages?.[part] ?? []) : [value];
}

function footprintsOf({ plan, turns }: Run, threads: number | null): Record<string, unknown>[] {
  return plan.subjects.flatMap(({ label }) => {
    const found = turns.filter((turn) => turn.label === label);
    const most = (name: "loaded" | "peak"): number => Math.max(...found.map((turn) => turn[name] ?? 0));
    const memory = (total: number) => ({ total, anonymous: null, file_backed: null });
    return found.some((turn) => turn.peak)
      ? [{ label, threads, batch: 1, loaded: memory(most("loaded")), peak: memory(most("peak")) }]
      : [];
  });
}

/** Return every picture that was timed, in order. */
export function courseOf({ turns }: Run): {
  label: string;
  round: number;
  at: number;
  seconds: number;
  thermal: string;
  celsius: null;
}[] {
  return turns
    .flatMap(({ label, round, pictures = [] }) => pictures.map((one) => ({ label, round, ...one, celsius: null })))
    .sort((a, b) => a.at - b.at);
}
