/** How long pictures took as the device grew warm: a small chart, told in words too. */

import { makeSvg } from "../page/dom.js";
import { milliseconds, percent, seconds } from "../page/words.js";

export interface Dot {
  readonly label: string;
  readonly at: number;
  readonly seconds: number;
}

const WIDTH = 400;
const HEIGHT = 170;
const [LEFT, RIGHT, TOP, BOTTOM] = [62, 8, 18, 22];

export function courseChart(dots: readonly Dot[], labels: readonly string[]): SVGElement {
  const first = Math.min(...dots.map((dot) => dot.at));
  const latest = Math.max(...dots.map((dot) => dot.at - first), 1);
  const most = Math.max(...dots.map((dot) => dot.seconds)) * 1.15;
  const x = (at: number): number => LEFT + ((at - first) / latest) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - (value / most) * (HEIGHT - TOP - BOTTOM);
  const chart = makeSvg("svg", {
    class: "chart",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": `Time of each picture over ${seconds(latest)}. ${slowing(dots)}`,
  });
  for (const share of [0, 0.5, 1]) {
    const value = (most * share) / 1.15;
    chart.append(
      makeSvg("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
      makeSvg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, milliseconds(value)),
    );
  }
  chart.append(makeSvg("text", { x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, `after ${seconds(latest)}`));
  labels.forEach((label, series) => {
    const own = dots.filter((dot) => dot.label === label);
    const points = own.map((dot) => `${x(dot.at).toFixed(1)},${y(dot.seconds).toFixed(1)}`).join(" ");
    chart.append(makeSvg("polyline", { class: "curve", "data-series": series, points }));
    for (const dot of own) {
      chart.append(makeSvg("circle", { class: "dot", cx: x(dot.at), cy: y(dot.seconds), r: 3 }));
    }
    const last = own.at(-1);
    if (last && labels.length > 1) {
      const at = { x: Math.min(x(last.at), WIDTH - RIGHT), y: y(last.seconds) - 8, "text-anchor": "end" };
      chart.append(makeSvg("text", at, label));
    }
  });
  return chart;
}

/** Pictures of a third below which chance says more than heat, and the change that is told. */
const ENOUGH = 3;
const TOLD = 0.05;

/** Say whether the last third of each bundle's pictures took longer than the first. */
export function slowing(dots: readonly Dot[]): string {
  const labels = [...new Set(dots.map((dot) => dot.label))];
  const ratios = labels.flatMap((label) => {
    const own = dots.filter((dot) => dot.label === label).map((dot) => dot.seconds);
    const third = Math.floor(own.length / 3);
    return third >= ENOUGH ? [mean(own.slice(-third)) / mean(own.slice(0, third))] : [];
  });
  if (!ratios.length) return "Too few pictures yet to tell whether the device slows down.";
  const change = mean(ratios) - 1;
  if (Math.abs(change) < TOLD) return "The device did not slow down as it grew warm.";
  return change > 0
    ? `The last third of the pictures took ${percent(change)} longer than the first: the device slows down.`
    : `The last third of the pictures took ${percent(-change)} less than the first.`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
