/**
 * What Stryker is told of these tests: a runner that asks all of them in one process for each fault, the quickest first,
 * until one finds it; and that what an error is made of does not count.
 */

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ASK = fileURLToPath(new URL("ask.mjs", import.meta.url));

/** Written by the dry run: the tests, the quickest first. */
const TESTS = "tests.json";

/** Read from the folder in which Stryker runs: the test files, and the numbers of the mutants to try. */
const CHOSEN = "chosen.json";

/** Seconds of a processor that a fault may take, so that nothing depends on what else the machine does. */
const LEAST = 3;
const TIMES = 4;
const DRY_RUN = 600;

class Runner {
  #chosen = JSON.parse(readFileSync(CHOSEN, "utf8"));

  capabilities() {
    return { reloadEnvironment: true };
  }

  async dryRun() {
    const { files } = this.#chosen;
    const { tests, coverage, failed } = await ask({ files }, DRY_RUN);
    if (failed !== undefined || tests === undefined) {
      return { status: "error", errorMessage: failed ?? "the tests took too long" };
    }
    tests.sort((a, b) => a.timeSpentMs - b.timeSpentMs);
    writeFileSync(TESTS, JSON.stringify(tests));
    return { status: "complete", tests: tests.map(({ fileName: _, ...test }) => test), mutantCoverage: coverage };
  }

  async mutantRun({ activeMutant: { id }, testFilter, hitLimit }) {
    if (!this.#chosen.mutants.includes(id)) {
      return { status: "survived", nrOfTests: 0 };
    }
    const all = JSON.parse(readFileSync(TESTS, "utf8"));
    const tests = all.filter((test) => !testFilter || testFilter.includes(test.id));
    const needed = tests.reduce((sum, test) => sum + test.timeSpentMs, 0) / 1000;
    const { failed, killedBy, hits } = await ask({ tests, mutant: id, hitLimit }, LEAST + TIMES * needed);
    if (failed === undefined && killedBy === undefined && hits === undefined) {
      return { status: "timeout" };
    }
    if (hits > hitLimit) {
      return { status: "timeout", reason: `reached ${hits} times` };
    }
    return failed === undefined
      ? { status: "survived", nrOfTests: tests.length }
      : { status: "killed", killedBy: [killedBy ?? tests[0].id], failureMessage: failed, nrOfTests: tests.length };
  }
}

/** Run tests in a process of their own; return what it tells, or nothing if it was ended for its time. */
function ask(what, seconds) {
  return new Promise((resolve) => {
    const limited = ["-c", 'ulimit -t "$0" && exec "$@"', Math.ceil(seconds), process.execPath, ASK];
    const child = spawn("sh", [...limited, JSON.stringify(what)], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      serialization: "advanced",
    });
    let told;
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
    });
    child.on("message", (message) => {
      told = message;
    });
    child.on("close", (code, signal) => {
      resolve(told ?? (signal ? {} : { failed: `exit ${code}: ${said.slice(-2000)}` }));
    });
  });
}

/** Arguments of what is thrown, and of every `new ...Error(...)`: what they say is no matter of these tests. */
function shouldIgnore(path) {
  if (path.listKey !== "arguments") {
    return undefined;
  }
  const { callee } = path.parent;
  const made = path.parentPath.isNewExpression() && /Error$/.test(callee.name ?? "");
  const within = path.findParent((parent) => parent.isThrowStatement() || parent.isFunction());
  return made || within?.isThrowStatement() ? "what an error is made of" : undefined;
}

export const strykerPlugins = [
  { kind: "TestRunner", name: "one-process", injectableClass: Runner },
  { kind: "Ignore", name: "errors", value: { shouldIgnore } },
];
