/** What is measured, in which order, and what was measured so far: all of it is kept, so that a reload goes on. */

import type { GoldenReport } from "../../../src/golden-check.js";
import type { PlainSettings, QualityPlan } from "../compute/bundles.js";

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
  /** Whole pictures are drawn with each, graphs are timed with the first; none: the first bundle's own. */
  settings: readonly PlainSettings[];
  /** In place of the first bundle's. */
  readonly steps: number | undefined;
  readonly provider: "wasm" | "webgpu";
  /** Of the engine, one or several; null: its own choice. */
  readonly threads: readonly (number | null)[];
  /** What is sent for Python to compare; undefined where nobody asks. */
  readonly quality: QualityPlan | undefined;
}

/** Of a picture that was timed: when it began, in seconds from the begin of the run. */
export interface Timed {
  readonly at: number;
  readonly seconds: number;
  readonly thermal: string;
  /** Which of the plan's settings. */
  readonly setting: number;
}

/** What came of a subject's turn. Times are seconds, memory is bytes. */
export interface TurnRecord {
  readonly round: number;
  readonly label: string;
  readonly threads: number | null;
  readonly error?: string;
  readonly ready?: number;
  readonly load?: number;
  readonly first?: number;
  readonly pictures?: readonly Timed[];
  readonly stages?: Readonly<Record<string, readonly number[]>>;
  readonly loaded?: number | undefined;
  readonly peak?: number | undefined;
}

/** A state of a picture, and the guided logits that the device computed of some of its masked positions. */
export interface QualityState {
  readonly step: number;
  /** Before the step, row by row of the grid. */
  readonly tokens: readonly (readonly number[])[];
  readonly rows: readonly number[];
  /** (rows, codebook) float32, the least byte first, in base64. */
  readonly logits: string;
}

/** What Python compares with a reference: finished tokens, and logits on the way there. */
export interface Quality {
  readonly label: string;
  readonly tokens: readonly (readonly number[])[];
  readonly states: readonly QualityState[];
}

export interface SubjectFacts {
  readonly label: string;
  readonly model: string;
  readonly target: string;
  readonly recipe: string;
  readonly manifest_sha256: string;
  readonly bytes: Readonly<Record<string, number>>;
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
  /** Megabytes, which are not kept: a page that is loaded again before they were sent makes them again. */
  quality: Quality[];
  qualitySent: boolean;
  turns: TurnRecord[];
  /** What happened that a reader should know of. */
  notes: string[];
  /** The turn, or check, that is being done: one that ended the page twice is not tried a third time. */
  doing?: { readonly key: string; readonly attempts: number } | undefined;
  finished: boolean;
  /** Whether the server has it, finished. */
  sent: boolean;
}

export interface Turn {
  readonly round: number;
  readonly subject: Subject;
  readonly threads: number | null;
}

/** Return all turns: in each round every subject has its own before any has the next round's; who begins goes round. */
export function turnsOf({ subjects, rounds, threads }: Plan): Turn[] {
  return Array.from({ length: rounds }, (_, round) => {
    const first = round % subjects.length;
    const order = [...subjects.slice(first), ...subjects.slice(0, first)];
    return order.flatMap((subject) => threads.map((number) => ({ round, subject, threads: number })));
  }).flat();
}

/** Return the turns that are still to be done; none of a kind that failed. */
export function turnsLeft({ plan, turns }: Run): Turn[] {
  const failed = turns.filter((turn) => turn.error !== undefined);
  return turnsOf(plan).filter(
    ({ round, subject: { label }, threads }) =>
      !failed.some((turn) => turn.label === label && turn.threads === threads) &&
      !turns.some((turn) => turn.label === label && turn.threads === threads && turn.round === round),
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
      localStorage.setItem(KEY, JSON.stringify({ ...run, quality: [] }));
    } else {
      localStorage.removeItem(KEY);
    }
  } catch {
    // full, or forbidden; what was measured was sent all the same
  }
}
