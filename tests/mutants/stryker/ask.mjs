/** Runs tests of the package with one fault, or with none and telling what each reaches: the process of plugin.mjs. */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { collect, collected } from "./collected.mjs";

const { files, tests, mutant, hitLimit } = JSON.parse(process.argv[2]);

// As what Stryker plants reads it.
const planted = { activeMutant: mutant, hitLimit, hitCount: 0 };
globalThis.__stryker__ = planted;

process.send(await (mutant === undefined ? dryRun() : mutantRun()), () => process.exit());

async function dryRun() {
  const told = [];
  for (const file of files) {
    await read(file);
  }
  for (const { id, name, fileName, run } of collected.values()) {
    planted.currentTestId = id;
    const begun = performance.now();
    const failed = await failureOf(run);
    if (failed !== undefined) {
      return { failed: `${id}: ${failed}` };
    }
    told.push({ id, name, fileName, status: 0, timeSpentMs: performance.now() - begun });
  }
  return { tests: told, coverage: planted.mutantCoverage };
}

/** Ask one test after the other, until one finds the fault; files are read when the first of their tests is asked. */
async function mutantRun() {
  for (const { id, fileName } of tests) {
    const failed = await failureOf(async () => {
      if (!collected.has(id)) {
        await read(fileName);
      }
      await collected.get(id).run({});
    });
    if (failed !== undefined) {
      return { failed, killedBy: id, hits: planted.hitCount };
    }
  }
  return { hits: planted.hitCount };
}

function read(file) {
  return collect(file, pathToFileURL(resolve(file)).href);
}

async function failureOf(run) {
  try {
    await run({});
    return undefined;
  } catch (error) {
    return String(error?.message ?? error).slice(0, 500);
  }
}
