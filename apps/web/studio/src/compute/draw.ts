/** What draws one picture, in the page or on the server. */

import { type RgbImage, rgba } from "../../../src/pictures/image.js";
import type { GenerationOptions } from "../../../src/sampling/options.js";
import type { Task } from "../../../src/tasks/kinds.js";
import type { BundleInfo } from "./bundles.js";

/** A picture on its way. */
export interface Preview {
  /** Steps that are done, of how many. */
  readonly step: number;
  readonly steps: number;
  readonly image?: ImageData | ImageBitmap | undefined;
  /** 1 where a token is still open; with it, its grid. */
  readonly mask?: Uint8Array | undefined;
  readonly probability?: Float32Array | undefined;
  readonly grid?: Grid | undefined;
}

export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** A picture that is finished. */
export interface Drawn {
  readonly image: ImageData;
  /** With the parameters in it. */
  readonly png: Uint8Array<ArrayBuffer>;
  /** JSON, as Python reads it. */
  readonly parameters: string;
  /** Only where they are known: a server may send none. */
  readonly tokens?: Int32Array | undefined;
  readonly probability?: Float32Array | undefined;
  readonly grid?: Grid | undefined;
  /** How sure the model was, where the server laid it over the picture. */
  readonly heat?: ImageData | undefined;
  /** Of the drawing alone, without loading. */
  readonly seconds: number;
}

export interface Watch {
  /** What is being done, and the share of it that is done where that is known. */
  onStatus(text: string, share?: number): void;
  onPreview(preview: Preview): void;
  /** Something was done otherwise than asked for. */
  onWarning(text: string): void;
}

export interface EngineChoice {
  readonly provider: "wasm" | "webgpu";
  /** Undefined: the engine's own choice. */
  readonly threads: number | undefined;
  /** One graph at a time; undefined: as the memory allows. */
  readonly lowMemory: boolean | undefined;
  /** Decode the picture after each of so many steps; 0: never. */
  readonly previewEvery: number;
}

export interface Drawer {
  /** Draw the one picture of a task. */
  draw(
    bundle: BundleInfo,
    task: Task,
    options: GenerationOptions,
    engine: EngineChoice,
    watch: Watch,
    signal: AbortSignal,
  ): Promise<Drawn>;
  /** Free all models. */
  close(): Promise<void>;
}

/** Return a picture as browsers have it. */
export function imageData(image: RgbImage): ImageData {
  return new ImageData(rgba(image), image.width, image.height);
}
