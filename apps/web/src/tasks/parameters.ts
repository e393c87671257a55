/** Everything that one picture was drawn from: what a PNG carries as JSON, and what a saved state belongs to. */

import type { MicroConditioning } from "../bundle/manifest.js";
import type { SamplerSettings } from "../sampling/options.js";

/** Stands for prompt embeddings, which are not kept. */
export interface EmbeddingsHash {
  readonly embeddingsSha256: string;
}

/** What files say of the task of one picture: pictures as hashes, the kind's own fields as plain values. */
export interface TaskRecord {
  readonly kind: "text_to_image" | "variation" | "inpainting";
  readonly prompt: string | EmbeddingsHash;
  readonly negativePrompt: string | EmbeddingsHash;
  /** Index of the picture within its prompt. */
  readonly picture: bigint;
  readonly microConditioning: MicroConditioning | undefined;
  /** Of each of the kind's sources: `image`, `mask`. */
  readonly hashes: Readonly<Record<string, string>>;
  /** The kind's own fields, by their names in files. */
  readonly own: Readonly<Record<string, boolean | number | bigint | string>>;
}

export interface PictureParameters {
  /** Of the bundle; the name is for people. */
  readonly bundleName: string;
  readonly bundleSha256: string;
  readonly task: TaskRecord;
  readonly seed: bigint;
  readonly settings: SamplerSettings;
}
