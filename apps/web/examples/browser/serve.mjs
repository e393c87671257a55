/**
 * Serves the example on this computer: `npm run build && node examples/browser/serve.mjs`, then open the address that it
 * prints. Any web server does that sends the two headers below, without which pages have one thread.
 */
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";

const PACKAGE = resolve(import.meta.dirname, "../..");
const FOLDERS = {
  "amused-edge": join(PACKAGE, "dist"),
  ort: join(PACKAGE, "node_modules/onnxruntime-web/dist"),
  bundle: resolve(process.argv[2] ?? join(PACKAGE, "../../demo/bundle")),
};
const HEADERS = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

function fileOf(url) {
  const path = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname)).slice(1) || "index.html";
  const [name, ...rest] = path.split("/");
  const file = Object.hasOwn(FOLDERS, name) ? join(FOLDERS[name], ...rest) : join(import.meta.dirname, path);
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? file : undefined;
}

const server = createServer((request, response) => {
  const file = fileOf(request.url);
  if (file === undefined) return response.writeHead(404).end();
  const [, first] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? [];
  const { size } = statSync(file);
  const start = Number(first ?? 0);
  if (start >= size) return response.writeHead(416).end();
  response.writeHead(first === undefined ? 200 : 206, {
    ...HEADERS,
    ...(first !== undefined && { "content-range": `bytes ${start}-${size - 1}/${size}` }),
    "content-type": TYPES[extname(file)] ?? "application/octet-stream",
    "content-length": size - start,
    "cache-control": "no-cache",
  });
  createReadStream(file, { start }).pipe(response);
});

server.listen(8000, "127.0.0.1", () => process.stdout.write("http://127.0.0.1:8000/\n"));
