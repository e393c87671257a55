import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { PACKAGE } from "./support/paths.js";

const SOURCES = join(PACKAGE, "src");
const DIST = join(PACKAGE, "dist");

/** What is taken from where -> most bytes of it, minified and gzipped: all of the core, one way to draw, and a page's. */
const SIZES: Readonly<Record<string, number>> = {
  'export * from "./index.js"': 29_000,
  'export { AmusedPipeline } from "./index.js"': 25_500,
  'export { openUrl, rgba } from "./web/index.js"': 4_000,
};

/** Room of the package -> the rooms that it does not know. */
const UNKNOWN: Readonly<Record<string, readonly string[]>> = {
  bundle: ["engines", "drawing", "pictures", "tasks", "remote"],
  sampling: ["bundle", "engines", "drawing", "pictures", "tasks", "remote"],
  pictures: ["bundle", "engines", "drawing", "tasks", "remote"],
  tasks: ["engines", "drawing", "remote"],
  engines: ["drawing", "tasks", "pictures", "remote"],
  drawing: ["remote"],
};
const HOSTS = ["node", "web", "react-native"];

function imports(file: string): string[] {
  const text = readFileSync(file, "utf8");
  const from = text.matchAll(/(?:^|\n)(?:import|export)\s[^;]*?from "([^"]+)"|import\("([^"]+)"\)/g);
  return [...from].map((found) => found[1] ?? found[2]);
}

function files(folder: string, ending: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && !name.endsWith(".d.ts"))
    .map((name) => join(folder, name));
}

function room(file: string): string {
  return relative(SOURCES, file).split("/").slice(0, -1)[0] ?? "";
}

/** Return a compiled file and all that it imports of ours. */
function reached(entry: string, found = new Set<string>()): Set<string> {
  if (!found.has(entry)) {
    found.add(entry);
    for (const name of imports(entry)) {
      assert.ok(name.startsWith("."), `${relative(DIST, entry)} imports ${name}`);
      reached(join(dirname(entry), name), found);
    }
  }
  return found;
}

test("rooms know only what they may", () => {
  for (const file of files(SOURCES, ".ts")) {
    for (const name of imports(file).filter((one) => one.startsWith("."))) {
      const other = room(join(dirname(file), name));
      const where = `${relative(SOURCES, file)} imports ${name}`;
      assert.ok(!UNKNOWN[room(file)]?.includes(other), where);
      assert.ok(!HOSTS.includes(other) || other === room(file), where);
    }
  }
});

test("the core imports nothing but itself and stays small", (context) => {
  context.diagnostic(`${reached(join(DIST, "index.js")).size} files`);
  for (const [contents, most] of Object.entries(SIZES)) {
    const { outputFiles } = buildSync({
      stdin: { contents, resolveDir: DIST },
      bundle: true,
      minify: true,
      write: false,
      format: "esm",
      target: "es2022",
    });
    const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
    context.diagnostic(`${contents}: ${outputFiles[0].contents.length} bytes minified, ${bytes} gzipped`);
    assert.ok(bytes < most, `${contents}: ${bytes} bytes`);
  }
});

test("what the package promises is in it", () => {
  const { exports, bin } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  for (const path of [...Object.values<string>(exports), ...Object.values<string>(bin)]) {
    assert.ok(readFileSync(join(PACKAGE, path)).length, path);
    if (path.endsWith(".js") && !path.includes("command")) {
      assert.ok(readFileSync(join(PACKAGE, path.replace(/\.js$/, ".d.ts"))).length, path);
    }
  }
});
