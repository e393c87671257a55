/** Light, dark, or as the system has it; kept from visit to visit. */

import { byId } from "./dom.js";

const MODES = ["auto", "light", "dark"] as const;
type Mode = (typeof MODES)[number];
const SAID: Readonly<Record<Mode, string>> = { auto: "as the system", light: "light", dark: "dark" };
const KEY = "amused-edge appearance";

export function startTheme(): void {
  const toggle = byId("theme", HTMLButtonElement);
  const apply = (mode: Mode): void => {
    document.documentElement.dataset.theme = mode;
    toggle.setAttribute("aria-label", `Appearance: ${SAID[mode]}`);
    toggle.title = `Appearance: ${SAID[mode]}`;
  };
  let mode = kept();
  apply(mode);
  toggle.addEventListener("click", () => {
    mode = MODES[(MODES.indexOf(mode) + 1) % MODES.length] ?? "auto";
    apply(mode);
    try {
      localStorage.setItem(KEY, mode);
    } catch {
      // a browser that keeps nothing; the choice lasts until the page is left
    }
  });
}

function kept(): Mode {
  try {
    return MODES.find((mode) => mode === localStorage.getItem(KEY)) ?? "auto";
  } catch {
    return "auto";
  }
}
