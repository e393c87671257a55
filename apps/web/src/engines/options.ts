/** How graphs are run. Threads and providers may change the last bits of what is computed. */

import { wholeNumber } from "../checks.js";
import { OptionsError, quoted } from "../errors.js";

/** An execution provider: its name, or the object that onnxruntime takes in its place. */
export type ExecutionProvider = string | { readonly name: string; readonly [option: string]: unknown };

export interface EngineOptions {
  /** Execution providers, first choice first; left out, onnxruntime's own choice, which is the CPU. */
  executionProviders?: readonly ExecutionProvider[];
  /** Threads within one operator, 1 to 256, where the package takes the number per session (not in browsers). */
  threads?: number;
  /**
   * Keep each graph once it is loaded (faster, the default) instead of loading it just before use and dropping it just
   * after: then one graph is in memory at a time.
   */
  keepGraphs?: boolean;
  /** Conditionings that are kept for prompts that come again, such as the empty negative prompt. By default 4. */
  rememberedPrompts?: number;
  /** More options of onnxruntime's sessions; they come last. */
  sessionOptions?: Readonly<Record<string, unknown>>;
}

export interface CheckedEngineOptions {
  readonly executionProviders: readonly ExecutionProvider[] | undefined;
  readonly threads: number | undefined;
  readonly keepGraphs: boolean;
  readonly rememberedPrompts: number;
  readonly sessionOptions: Readonly<Record<string, unknown>>;
}

const MOST_THREADS = 256;

/** Check options and fill in what was left out. */
export function engineOptions(given: EngineOptions): CheckedEngineOptions {
  const { executionProviders: providers, threads } = given;
  if (providers !== undefined && !(Array.isArray(providers) && providers.length && providers.every(providerName))) {
    throw new OptionsError(`executionProviders is ${quoted(providers)}; give a list of names, or leave it out`);
  }
  return {
    executionProviders: providers,
    threads: threads === undefined ? undefined : wholeNumber("threads", threads, 1, MOST_THREADS),
    keepGraphs: given.keepGraphs ?? true,
    rememberedPrompts: wholeNumber("rememberedPrompts", given.rememberedPrompts ?? 4, 0),
    sessionOptions: given.sessionOptions ?? {},
  };
}

/** Return the name of a provider; undefined where it is none. */
export function providerName(provider: unknown): string | undefined {
  const name = typeof provider === "object" && provider !== null ? (provider as { name?: unknown }).name : provider;
  return typeof name === "string" && name ? name : undefined;
}
