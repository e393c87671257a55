/** Shows what was measured. */

import { make } from "../page/dom.js";
import { megabytes, milliseconds, percent } from "../page/words.js";
import { courseChart, slowing } from "./chart.js";
import type { Run } from "./plan.js";
import { courseOf, type Timing, timingsOf } from "./results.js";

const NAMES: Readonly<Record<string, string>> = {
  ready: "From nothing to loaded",
  load: "Load",
  "first picture": "First picture of 2 steps",
  picture: "Picture",
  text_encoder: "Text encoder",
  conditioner: "Conditioner",
  denoiser: "Denoiser, a step",
  image_decoder: "Image decoder",
};

/** Return cards with the figures of a run, as far as it is. */
export function reportOf(run: Run): HTMLElement[] {
  const timings = timingsOf(run);
  const cards: HTMLElement[] = [];
  const headline = timings.filter((timing) => timing.part === "picture");
  if (headline.length) cards.push(headlineCard(run, headline), timesCard(run, timings));
  const dots = courseOf(run);
  if (dots.length > 1) {
    cards.push(
      make(
        "div",
        { class: "card" },
        make("h2", {}, "As it grows warm"),
        courseChart(
          dots,
          run.plan.subjects.map((subject) => subject.label),
        ),
        make("p", { class: "faint" }, slowing(dots)),
      ),
    );
  }
  const failures = run.turns.filter((turn) => turn.error);
  if (failures.length) {
    const said = new Set(failures.map(({ label, error }) => `${label}: ${error}`)); // once for all numbers of threads
    const list = make("ul", {}, ...[...said].map((one) => make("li", {}, one)));
    cards.push(make("div", { class: "card" }, make("h2", {}, "What could not be measured"), list));
  }
  return cards;
}

function headlineCard(run: Run, timings: readonly Timing[]): HTMLElement {
  const numbers = timings.map(({ label, seconds: { median }, ratio }, place) => {
    const note = place && ratio ? `${label}: ${ratio.estimate.toFixed(2)} times the first's time` : label;
    return make("div", {}, make("strong", {}, milliseconds(median)), make("span", {}, note));
  });
  const golden = run.golden.map(
    ({ label, reproduced, equalTokens }) =>
      `${label} ${reproduced ? "computes rightly" : "computes wrongly"}, ${percent(equalTokens)} of the golden tokens`,
  );
  return make(
    "div",
    { class: "card" },
    make("h2", {}, "A picture takes"),
    make("div", { class: "numbers" }, ...numbers),
    make("p", { class: "faint" }, `${golden.join("; ")}.`),
  );
}

function timesCard(run: Run, timings: readonly Timing[]): HTMLElement {
  const labels = run.plan.subjects.map((subject) => subject.label);
  const head = make(
    "tr",
    {},
    make("th", { scope: "col" }, "Part"),
    ...labels.map((label) => make("th", { scope: "col" }, label)),
  );
  const rows = Object.entries(NAMES).map(([part, name]) => {
    const cells = labels.map((label) => {
      const found = timings.find((timing) => timing.label === label && timing.part === part);
      return make("td", {}, found ? milliseconds(found.seconds.median) : "");
    });
    return make("tr", {}, make("th", { scope: "row" }, name), ...cells);
  });
  const peaks = labels.map((label) =>
    Math.max(...run.turns.filter((turn) => turn.label === label).map((turn) => turn.peak ?? 0)),
  );
  if (peaks.some((peak) => peak > 0)) {
    const cells = peaks.map((peak) => make("td", {}, peak > 0 ? megabytes(peak) : ""));
    rows.push(make("tr", {}, make("th", { scope: "row" }, "Memory of WebAssembly"), ...cells));
  }
  const done = new Set(run.turns.map((turn) => turn.round)).size;
  const caption = make("caption", {}, `Medians of ${done} ${done === 1 ? "round" : "rounds"}`);
  const table = make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...rows));
  const scroll = make(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Times of each part" },
    table,
  );
  return make("div", { class: "card" }, make("h2", {}, "In detail"), scroll);
}
