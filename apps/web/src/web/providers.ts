/** What each execution provider of onnxruntime-web can do with a bundle, and why not, before anything large is fetched. */

import type { Manifest, Role } from "../bundle/manifest.js";
import { checkProviders } from "../engines/providers.js";
import { ProviderError } from "../errors.js";
import type { Demands } from "./graph-scan.js";

export const PROVIDERS = ["wasm", "webgpu"] as const;
/** "wasm": the CPU. "webgpu": the graphics card. */
export type Provider = (typeof PROVIDERS)[number];

/** What is asked of a graphics card. */
export interface Adapter {
  readonly features: { has(name: string): boolean };
  readonly limits: { readonly maxStorageBuffersPerShaderStage: number };
  readonly info: {
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
  };
}

interface Gpu {
  requestAdapter(): Promise<Adapter | null>;
}

const INSTEAD = 'choose the provider "wasm"';

/** Return the browser's graphics card; throws `ProviderError` where it offers none. */
export async function requestAdapter(): Promise<Adapter> {
  const gpu = (globalThis.navigator as { gpu?: Gpu } | undefined)?.gpu;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (adapter) {
    return adapter;
  }
  const secure = (globalThis as { isSecureContext?: boolean }).isSecureContext;
  const why = gpu ? "it found no graphics card" : secure === false ? "it needs https" : "this browser has none";
  throw new ProviderError(`WebGPU is not to be had here (${why}); ${INSTEAD}`);
}

/** Throw `ProviderError` if the manifest says that a bundle cannot be drawn with WebGPU, or not rightly. */
export function checkForWebGpu(manifest: Manifest): void {
  checkProviders(manifest, ["webgpu"]);
  for (const graph of Object.values(manifest.graphs)) {
    if (Object.values(graph.tensors).some((tensor) => tensor.activations !== "float32")) {
      throw new ProviderError(
        `${manifest.model.name} multiplies in 8 bits (recipe w8a8), for which WebGPU has no operators: node by node it ` +
          `would go back to the CPU; ${INSTEAD}, or quantize with w8`,
      );
    }
  }
}

/** Throw `ProviderError` if a graphics card cannot run a role's graph. */
export function checkDemands(role: Role | string, { parts, halves }: Demands, adapter: Adapter): void {
  const most = adapter.limits.maxStorageBuffersPerShaderStage - 1;
  if (parts > most) {
    throw new ProviderError(
      `the ${role} splits or joins ${parts} tensors at once, this graphics card up to ${most}; ` +
        `${INSTEAD}, or export the bundle again with this version of amused-edge`,
    );
  }
  if (halves && !adapter.features.has("shader-f16")) {
    throw new ProviderError(
      `the ${role} holds float16 numbers, which this graphics card does not read (no shader-f16); ${INSTEAD}`,
    );
  }
}
