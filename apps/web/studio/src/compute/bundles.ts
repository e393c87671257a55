/** What the server offers. */

import { DownloadError } from "../../../src/errors.js";

/** A bundle, as `GET /api/bundles` lists it. */
export interface BundleInfo {
  readonly id: string;
  readonly name: string;
  readonly recipe: string;
  /** Address of its folder, of its files. */
  readonly files: string;
  readonly bytes: number;
}

/** What `amused-edge bench device` wants measured, by the names of its results. */
export interface DevicePlan {
  readonly subjects: readonly { readonly label: string; readonly bundle: string }[];
  readonly prompt: string;
  readonly seed: number;
  readonly settings: readonly PlainSettings[];
  readonly threads: readonly (number | null)[];
  readonly rounds: number;
  readonly pictures: number;
  readonly calls: number;
  readonly provider: "wasm" | "webgpu";
  readonly quality: QualityPlan;
}

/** Settings of the loop, as files name them. */
export interface PlainSettings {
  readonly steps: number;
  readonly guidance_scale: number;
  readonly temperature: number | readonly [number, number];
  readonly schedule: string;
  readonly guidance_ramp: string;
  readonly guidance_interval: readonly [number, number];
  readonly order: string;
}

/** Steps, from 0, before which logits are taken, and of how many positions at most. */
export interface QualityPlan {
  readonly steps: readonly number[];
  readonly rows: number;
}

export interface Offer {
  readonly bundles: readonly BundleInfo[];
  /** Where pictures are drawn. */
  readonly compute: "page" | "server";
  readonly version: string;
  /** Where devices are measured. */
  readonly device: DevicePlan | undefined;
}

/** Ask the server what it has. Addresses are taken from the page's own, so that it may lie in a folder. */
export async function fetchOffer(): Promise<Offer> {
  const url = new URL("api/bundles", document.baseURI);
  let response: Response;
  try {
    response = await fetch(url, { cache: "no-cache" });
  } catch {
    throw new DownloadError("the server does not answer; is amused-edge serve still running?");
  }
  if (response.status === 401 || response.status === 403) {
    throw new DownloadError("the server does not know this visitor; open the address that amused-edge serve printed");
  }
  if (!response.ok) {
    throw new DownloadError(`the server answered ${response.status} for its list of bundles`);
  }
  const offer = (await response.json()) as Partial<Offer>;
  const bundles = (offer.bundles ?? []).map((one) => ({ ...one, recipe: one.recipe || "float32" }));
  return {
    bundles,
    compute: offer.compute === "server" ? "server" : "page",
    version: offer.version ?? "",
    device: offer.device ?? undefined,
  };
}

/** Return a bundle's name for people: the recipe where all have one name. */
export function labels(bundles: readonly BundleInfo[]): Map<string, string> {
  const names = new Set(bundles.map((one) => one.name));
  const recipes = new Set(bundles.map((one) => one.recipe));
  const label = (one: BundleInfo): string => {
    if (names.size === 1 && recipes.size === bundles.length) {
      return bundles.length === 1 ? one.name : one.recipe;
    }
    return recipes.size === 1 && names.size === bundles.length ? one.name : `${one.name} ${one.recipe}`;
  };
  const found = bundles.map((one) => [one.id, label(one)] as const);
  const distinct = new Set(found.map(([, text]) => text)).size === found.length;
  return new Map(distinct ? found : bundles.map((one) => [one.id, one.id]));
}
