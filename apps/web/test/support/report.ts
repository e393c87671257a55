/** Runs the conformance vectors and reports on them in the kit's form. */

import { ANSWERS } from "./answers.js";
import { bundleOf, checkPicture, type Engine, openWith } from "./drawn.js";
import { differences, readSet } from "./vectors.js";

export interface SetReport {
  readonly set: string;
  readonly status: "PASS" | "FAIL" | "SKIP";
  readonly passed: number;
  readonly cases: number;
  readonly near_ties: number;
  readonly reason: string;
}

const PICTURES = "pictures-";

/** Run one set; of pictures with this engine. */
export async function reportOf(name: string, engine: Engine = "node"): Promise<SetReport> {
  const set = readSet(name);
  const cases = set.cases.length;
  const skipped = (reason: string): SetReport => ({
    set: name,
    status: "SKIP",
    passed: 0,
    cases,
    near_ties: 0,
    reason,
  });
  const found: string[][] = [];
  let near = 0;
  if (name.startsWith(PICTURES)) {
    const folder = bundleOf(name.slice(PICTURES.length));
    if (folder === undefined) {
      return skipped(`there is no bundle build/demo-${name.slice(PICTURES.length)}; make it with \`make recipes\``);
    }
    const pipeline = await openWith(engine, folder);
    for (const place of set.cases.keys()) {
      const seen = await checkPicture(pipeline, set, place);
      found.push(seen.found);
      near += seen.near;
    }
    await pipeline.close();
  } else {
    const answer = ANSWERS[name];
    if (!answer) {
      return skipped("this runtime has no answer to it");
    }
    for (const place of set.cases.keys()) {
      found.push(await differences(set, place, answer));
    }
  }
  const first = found.findIndex((lines) => lines.length > 0);
  return {
    set: name,
    status: first < 0 ? "PASS" : "FAIL",
    passed: found.filter((lines) => !lines.length).length,
    cases,
    near_ties: near,
    reason: first < 0 ? "" : `case ${first}: ${found[first][0]}`,
  };
}

/** Return the line of a set. */
export function lineOf({ set, status, passed, cases, near_ties: near, reason }: SetReport): string {
  const ties = near ? ` (${near} near-tie${near > 1 ? "s" : ""})` : "";
  return `${status} ${set} ${passed}/${cases}${ties}${reason && `: ${reason}`}`;
}
