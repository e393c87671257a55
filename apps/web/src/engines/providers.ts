/** What is known of execution providers: which bundles one would compute wrongly. */

import type { Manifest } from "../bundle/manifest.js";
import { ProviderError } from "../errors.js";
import { type ExecutionProvider, providerName } from "./options.js";

/**
 * Throw `ProviderError` if one of the providers would compute a bundle wrongly, which no error would show.
 *
 * Measured: MultiHeadAttention, which `--optimize cpu` puts in, is off by 0.6 of the largest value on WebGPU.
 */
export function checkProviders(manifest: Manifest, providers: readonly ExecutionProvider[] | undefined): void {
  const names = (providers ?? []).map(providerName);
  for (const name of ["webgpu", "webgl", "webnn"]) {
    if (names.includes(name) && manifest.engine.optimize === "cpu") {
      throw new ProviderError(
        `the bundle was exported with --optimize cpu, whose operators ${name} computes wrongly; use the provider wasm ` +
          "or cpu, or export the bundle without it",
      );
    }
  }
}
