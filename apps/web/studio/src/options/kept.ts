/** The models that the browser keeps, and how to remove them. */

import { forgetBundle, keptBundles } from "../../../src/web/kept.js";
import { button, byId, make } from "../page/dom.js";
import { megabytes } from "../page/words.js";

/** List them whenever the group of the engine's options is opened. */
export function listKept(): void {
  const group = byId("engine-options", HTMLDetailsElement);
  group.addEventListener("toggle", () => {
    if (group.open) void show();
  });
}

async function show(): Promise<void> {
  const kept = await keptBundles();
  const rows = kept.map(({ url, name, bytes }) => {
    const said = `${name}, ${megabytes(bytes)}`;
    const remove = async (): Promise<void> => {
      await forgetBundle(url);
      await show();
    };
    return make(
      "p",
      {},
      said,
      button("Remove", { class: "small", "aria-label": `Remove ${said} from this device` }, remove),
    );
  });
  const title = make("p", { class: "faint" }, "Kept on this device");
  byId("kept", HTMLElement).replaceChildren(...(rows.length ? [title, ...rows] : []));
}
