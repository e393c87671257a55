/**
 * Builds the studio: `node studio/build.mjs FOLDER` writes all that a server has to serve, onnxruntime-web included.
 *
 * Names stay the same from build to build. The service worker holds a hash of all files, so that a browser that keeps
 * the page for visits without a network notices a new one.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const HERE = import.meta.dirname;
const ORT = resolve(HERE, "../node_modules/onnxruntime-web/dist");
/** Of the CPU's build, and of the graphics card's. */
const ORT_FILES = [
  "ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
  "ort.webgpu.min.mjs",
  "ort-wasm-simd-threaded.asyncify.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
];
/** The graphics card's build is kept once it was used, and not before: few need it. */
const LATER = /webgpu|asyncify/;

export async function buildStudio(folder) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, "ort"), { recursive: true });
  const shared = {
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    outdir: folder,
    legalComments: "none",
    logLevel: "warning",
  };
  const { version: ortVersion } = JSON.parse(await readFile(join(ORT, "../package.json"), "utf8"));
  const entries = { studio: "src/main.ts", worker: "src/benchmark/worker.ts", studio_css: "styles/studio.css" };
  await build({
    ...shared,
    define: { ORT_VERSION: JSON.stringify(ortVersion) },
    entryPoints: Object.entries(entries).map(([out, file]) => ({ in: join(HERE, file), out: out.replace("_css", "") })),
  });
  for (const name of await readdir(join(HERE, "static"))) {
    await copyFile(join(HERE, "static", name), join(folder, name));
  }
  await Promise.all(ORT_FILES.map((name) => copyFile(join(ORT, name), join(folder, "ort", name))));
  const { version, files } = await described(folder);
  await build({
    ...shared,
    entryPoints: [{ in: join(HERE, "src/offline/service-worker.ts"), out: "service-worker" }],
    define: { VERSION: JSON.stringify(version), FILES: JSON.stringify(files.filter((name) => !LATER.test(name))) },
  });
  await writeFile(join(folder, "LICENSES.txt"), await licenses());
}

/** Return a hash of all files in a folder, and their names. */
async function described(folder) {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
  const hash = createHash("sha256");
  for (const name of names) hash.update(name).update(await readFile(join(folder, name)));
  return { version: hash.digest("hex").slice(0, 16), files: names };
}

/** Return the licences of what is shipped along. */
async function licenses() {
  const parts = [];
  const [, terms] = (await readFile(resolve(HERE, "../node_modules/fast-png/LICENSE"), "utf8")).split(
    /^Copyright .*\n\n/m,
  );
  const ofMicrosoft = `MIT License\n\nCopyright (c) Microsoft Corporation\n\n${terms}`; // whose packages lack the text
  for (const name of ["onnxruntime-web", "onnxruntime-common", "fast-png", "fflate", "iobuffer"]) {
    const at = resolve(HERE, "../node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(at, "package.json"), "utf8"));
    const file = (await readdir(at)).find((one) => /^licen[sc]e/i.test(one));
    const text = file ? await readFile(join(at, file), "utf8") : ofMicrosoft;
    parts.push(`${name} ${version} (${license})\n\n${text}`.trim());
  }
  return `${parts.join("\n\n---\n\n")}\n`;
}

if (process.argv[1] === import.meta.filename) {
  await buildStudio(resolve(process.argv[2] ?? join(HERE, "../../../serve/page")));
}
