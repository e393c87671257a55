/** Starts the page. */

import { startBenchmark } from "./benchmark/view.js";
import { fetchOffer } from "./compute/bundles.js";
import { whatIsMissing } from "./compute/surroundings.js";
import { listKept } from "./options/kept.js";
import { byId } from "./page/dom.js";
import { ProgressView } from "./page/progress.js";
import { startRouter } from "./page/router.js";
import { startTheme } from "./page/theme.js";
import { Studio } from "./studio.js";

async function start(): Promise<void> {
  startTheme();
  startRouter();
  try {
    const offer = await fetchOffer();
    byId("version", HTMLElement).textContent = offer.version && `amused-edge ${offer.version}`;
    if (offer.compute === "server") {
      byId("where", HTMLElement).textContent = "Drawn on the computer that showed this page.";
    }
    showNotice(offer.compute);
    if (offer.device && !location.hash) location.replace("#benchmark");
    const studio = new Studio(offer);
    startBenchmark(offer);
    listKept();
    await studio.begin();
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    for (const prefix of ["", "bench-"]) new ProgressView(prefix).fail(error);
    for (const id of ["draw", "bench-start"]) byId(id, HTMLButtonElement).disabled = true;
  }
  if ("serviceWorker" in navigator) {
    await navigator.serviceWorker.register("service-worker.js").catch(() => undefined); // the page works without it
  }
}

function showNotice(compute: "page" | "server"): void {
  const missing = compute === "page" ? whatIsMissing() : undefined;
  const notice = byId("notice", HTMLElement);
  notice.hidden = missing === undefined;
  notice.textContent = missing ?? "";
}

void start();
