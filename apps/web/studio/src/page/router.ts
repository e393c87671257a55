/** Two views on one page, told apart by the address: #studio and #benchmark. */

import { byId } from "./dom.js";

const VIEWS = ["studio", "benchmark"] as const;
export type View = (typeof VIEWS)[number];
const TITLES: Readonly<Record<View, string>> = { studio: "Studio", benchmark: "Benchmark" };

/** Show the view of the address, now and whenever it changes. */
export function startRouter(): void {
  show(current());
  window.addEventListener("hashchange", () => {
    if (!location.hash || VIEWS.some((view) => location.hash === `#${view}`)) {
      show(current());
      byId(current(), HTMLElement).focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
  });
}

function current(): View {
  return VIEWS.find((view) => location.hash === `#${view}`) ?? "studio";
}

function show(shown: View): void {
  document.title = `${TITLES[shown]} · amused-edge`;
  for (const view of VIEWS) {
    byId(view, HTMLElement).hidden = view !== shown;
    const link = byId(`to-${view}`, HTMLAnchorElement);
    if (view === shown) {
      link.setAttribute("aria-current", "page");
    } else {
      link.removeAttribute("aria-current");
    }
  }
}
