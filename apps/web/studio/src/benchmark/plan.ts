/** What is measured, in which order, and what was measured so far: all of it is kept, so that a reload goes on. */

import type { GoldenReport } from "../../../src/golden-check.js";
import type { SamplerSettings } from "../../../src/sampling/options.js";

export interface Subject {
  /** Of the bundle, on the server. */
  readonly id: string;
  readonly label: string;
}

export interface Plan {
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  readonly pictures: number;
  readonly calls: number;
  readonly prompt: string;
  readonly seed: number;
  /** Undefined: the first bundle's. */
  readonly steps: number | undefined;
  readonly provider: "wasm" | "webgpu";
  readonly threads: number | undefined;
}

/** Of a picture that was timed: when it began, in seconds from the begin of the run. */
export interface Timed {
  readonly at: number;
  readonly seconds: number;
  readonly thermal: string;
}

/** What came of a subject's turn. Times are seconds, memory is bytes. */
export interface TurnRecord {
  readonly round: number;
  readonly label: string;
  readonly error?: string;
  readonly ready?: number;
  readonly load?: number;
  readonly first?: number;
  readonly pictures?: readonly Timed[];
  readonly stages?: Readonly<Record<string, readonly number[]>>;
  readonly loaded?: number | undefined;
  readonly peak?: number | undefined;
}

/** What a device computes at a state that Python can make too: all tokens masked, without guidance. */
export interface Quality {
  readonly label: string;
  readonly prompt: string;
  /** Of the picture with the bundle's own settings and seed 0. */
  readonly tokens: readonly number[];
  /** Which positions of the grid the logits are of. */
  readonly positions: readonly number[];
  readonly codebook: number;
  /** (positions, codebook) float32, the least byte first, in base64. */
  readonly logits: string;
}

export interface SubjectFacts {
  readonly label: string;
  readonly model: string;
  readonly target: string;
  readonly recipe: string;
  readonly manifest_sha256: string;
  readonly bytes: Readonly<Record<string, number>>;
  readonly settings: SamplerSettings;
  readonly lowMemory: boolean;
}

export interface Run {
  readonly id: string;
  readonly plan: Plan;
  /** When it began, ms since 1970. */
  readonly begun: number;
  facts: SubjectFacts[];
  golden: ({ label: string } & Pick<
    GoldenReport,
    "sameIds" | "logitError" | "equalTokens" | "pixelError" | "reproduced"
  >)[];
  quality: Quality[];
  turns: TurnRecord[];
  /** What happened that a reader should know of. */
  notes: string[];
  /** The turn, or check, that is being done: one that ended the page twice is not tried a third time. */
  doing?: { readonly key: string; readonly attempts: number } | undefined;
  finished: boolean;
}

export interface Turn {
  readonly round: number;
  readonly subject: Subject;
}

/** Return all turns: in each round every subject has one before any has the next round's; who begins goes round. */
export function turnsOf({ subjects, rounds }: Plan): Turn[] {
  return Array.from({ length: rounds }, (_, round) => {
    const first = round % subjects.length;
    return [...subjects.slice(first), ...subjects.slice(0, first)].map((subject) => ({ round, subject }));
  }).flat();
}

/** Return the turns that are still to be done; none of a subject that failed. */
export function turnsLeft({ plan, turns }: Run): Turn[] {
  const failed = new Set(turns.filter((turn) => turn.error).map((turn) => turn.label));
  const done = new Set(turns.map((turn) => `${turn.round} ${turn.label}`));
  return turnsOf(plan).filter(
    ({ round, subject }) => !failed.has(subject.label) && !done.has(`${round} ${subject.label}`),
  );
}

const KEY = "amused-edge benchmark";

export function keptRun(): Run | undefined {
  try {
    const text = localStorage.getItem(KEY);
    return text ? (JSON.parse(text) as Run) : undefined;
  } catch {
    return undefined;
  }
}

/** Keep a run; where the browser keeps nothing, it is lost with the page. */
export function keepRun(run: Run | undefined): void {
  try {
    if (run) {
      localStorage.setItem(KEY, JSON.stringify(run));
    } else {
      localStorage.removeItem(KEY);
    }
  } catch {
    // full, or forbidden; what was measured was sent all the same
  }
}
