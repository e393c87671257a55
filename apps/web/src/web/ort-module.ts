/** onnxruntime-web, fetched from a folder: the smallest of its builds that has the provider. */

import type { Ort } from "../engines/ort.js";
import { firstLine, OptionsError, ProviderError, quoted } from "../errors.js";
import type { Provider } from "./providers.js";

const MODULES: Readonly<Record<Provider, string>> = { wasm: "ort.wasm.min.mjs", webgpu: "ort.webgpu.min.mjs" };

export async function importOrt(folder: string | undefined, provider: Provider): Promise<Ort> {
  if (typeof folder !== "string") {
    throw new OptionsError(
      `ort is ${quoted(folder)}; give the address of onnxruntime-web's folder dist, or a worker that serves with its own`,
    );
  }
  const url = new URL(MODULES[provider], folder.endsWith("/") ? folder : `${folder}/`).href;
  try {
    const ort = (await import(/* @vite-ignore */ /* webpackIgnore: true */ url)) as Ort;
    Object.assign((ort.env as { wasm?: object }).wasm ?? {}, { wasmPaths: new URL(".", url).href });
    return ort;
  } catch (error) {
    throw new ProviderError(
      `onnxruntime-web cannot be loaded from ${url} (${firstLine(error)}); serve its folder there`,
      {
        cause: error,
      },
    );
  }
}
