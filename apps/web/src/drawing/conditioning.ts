/** From prompts to what the denoiser reads: text encoder and conditioner, each run once per prompt. */

import type { Geometry, MicroConditioning } from "../bundle/manifest.js";
import { breathe } from "../cancellation.js";
import type { Arrays } from "../engines/graph.js";
import type { GraphStore } from "../engines/graph-store.js";
import { quoted } from "../errors.js";
import type { Prompt } from "../tasks/embeddings.js";
import { Remembered } from "./remembered.js";
import type { PromptTokenizer } from "./tokenizer.js";

/** Told what was done otherwise than a caller may think. */
export type OnWarning = (message: string) => void;

/** Return the five micro-conditions of a picture: width, height, crop top, crop left, aesthetic score. */
export function microConditions(geometry: Geometry, values: MicroConditioning): Float32Array {
  return Float32Array.of(
    geometry.imageWidth,
    geometry.imageHeight,
    values.cropTop,
    values.cropLeft,
    values.aestheticScore,
  );
}

/** Turns prompts into conditioning, one prompt at a time so that none depends on its neighbours. */
export class PromptConditioner {
  readonly #tokenizer: PromptTokenizer;
  readonly #graphs: GraphStore;
  readonly #remembered: Remembered<Arrays>;
  readonly #warn: OnWarning;

  /** @param remembered how many conditionings are kept for prompts that come again */
  constructor(tokenizer: PromptTokenizer, graphs: GraphStore, remembered: number, warn: OnWarning) {
    this.#tokenizer = tokenizer;
    this.#graphs = graphs;
    this.#remembered = new Remembered(remembered);
    this.#warn = warn;
  }

  /** Return the conditioning of each prompt, batch 1. */
  async condition(prompts: readonly Prompt[], micro: Float32Array, signal?: AbortSignal): Promise<Arrays[]> {
    const keys = prompts.map((prompt) => `${micro} ${nameOf(prompt)}`);
    const found = new Map<string, Arrays>();
    const missing = new Map<string, Prompt>();
    keys.forEach((key, i) => {
      const known = this.#remembered.get(key);
      if (known) {
        found.set(key, known);
      } else {
        missing.set(key, prompts[i]);
      }
    });
    const encoded = await this.#encode(missing, signal);
    if (encoded.size) {
      await this.#graphs.use("conditioner", async (conditioner) => {
        for (const [key, text] of encoded) {
          await breathe(signal);
          const made = await conditioner.run({ ...text, micro_conditions: { data: micro, shape: [1, micro.length] } });
          found.set(key, this.#remembered.put(key, made));
        }
      });
    }
    return keys.map((key) => found.get(key) as Arrays);
  }

  /** Return what the text encoder says of a text. */
  async encodeText(text: string, signal?: AbortSignal): Promise<Arrays> {
    const [encoded] = (await this.#encode(new Map([[text, text]]), signal)).values();
    return encoded;
  }

  /** Drop what is remembered, and remember nothing more. */
  close(): void {
    this.#remembered.close();
  }

  /** Return what the text encoder says of each prompt, or what was given in its place. */
  async #encode(prompts: ReadonlyMap<string, Prompt>, signal: AbortSignal | undefined): Promise<Map<string, Arrays>> {
    const encoded = new Map<string, Arrays>();
    const texts = [...prompts].filter((entry): entry is [string, string] => typeof entry[1] === "string");
    for (const [key, prompt] of prompts) {
      if (typeof prompt !== "string") {
        encoded.set(key, {
          hidden_states: { data: prompt.hiddenStates, shape: [1, ...prompt.shape] },
          pooled: { data: prompt.pooled, shape: [1, prompt.pooled.length] },
        });
      }
    }
    if (texts.length) {
      await this.#graphs.use("text_encoder", async (encoder) => {
        for (const [key, text] of texts) {
          await breathe(signal);
          encoded.set(key, await encoder.run({ input_ids: this.#ids(text) }));
        }
      });
    }
    return encoded;
  }

  #ids(text: string): { data: Int32Array; shape: number[] } {
    const { ids, cut } = this.#tokenizer.encode(text);
    if (cut !== undefined) {
      this.#warn(`the text encoder reads ${ids.length} tokens; cut off: ${quoted(cut)}`);
    }
    return { data: ids, shape: [1, ids.length] };
  }
}

/** Return what tells prompts apart; no text is mistaken for embeddings. */
function nameOf(prompt: Prompt): string {
  return typeof prompt === "string" ? `text ${prompt}` : `embeddings ${prompt.sha256}`;
}
