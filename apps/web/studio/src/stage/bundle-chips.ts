/** Which bundles draw: one or several, side by side. */

import type { BundleInfo } from "../compute/bundles.js";
import { make } from "../page/dom.js";
import { megabytes } from "../page/words.js";

/** Offer bundles in a group of boxes; the first is chosen. */
export function offerBundles(
  group: HTMLFieldSetElement,
  bundles: readonly BundleInfo[],
  names: ReadonlyMap<string, string>,
  all = false,
): void {
  const chips = bundles.map((bundle, place) => {
    const box = make("input", { type: "checkbox", name: "bundle", value: bundle.id, checked: all || place === 0 });
    const size = make("small", {}, megabytes(bundle.bytes));
    return make("label", {}, box, make("span", {}, names.get(bundle.id) ?? bundle.id, size));
  });
  group.append(...chips);
  group.hidden = bundles.length < 2;
}

/** Return the bundles that are chosen, in their order. */
export function chosenBundles(form: HTMLFormElement, bundles: readonly BundleInfo[]): BundleInfo[] {
  const chosen = new FormData(form).getAll("bundle");
  return bundles.filter((bundle) => chosen.includes(bundle.id));
}
