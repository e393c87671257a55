/**
 * A server for tests that speaks what the page speaks with `amused-edge serve`: the page's files, bundles, pictures drawn
 * on the server (by onnxruntime-node), results of benchmarks. Loopback only.
 */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import {
  type AmusedPipeline,
  type ImageSource,
  inpainting,
  type Task,
  textToImage,
  variation,
} from "../../../src/index.js";
import { pngOf, readPng } from "../../../src/node/png.js";
import { parametersToText } from "../../../src/tasks/parameters.js";
import { openDemo } from "../../support/demo.js";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
};

const HEADERS = {
  "content-security-policy":
    "default-src 'none'; manifest-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; " +
    "worker-src 'self' blob:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};
const ISOLATED = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

/** A request to draw, as the page sends it. */
// biome-ignore lint/suspicious/noExplicitAny: JSON, whose fields a test looks into
export type DrawRequest = Record<string, any>;

export class StudioServer {
  url = "";
  compute: "page" | "server" = "page";
  /** What is to be measured. */
  device: object | null = null;
  isolated = true;
  /** Paths that were asked for, and bytes that were sent of each. */
  readonly asked: string[] = [];
  readonly sent = new Map<string, number>();
  readonly requests: DrawRequest[] = [];
  /** What benchmarks handed over. */
  readonly results: DrawRequest[] = [];
  /** How many requests to draw the page left in the middle. */
  left = 0;
  readonly #page: string;
  readonly #bundles: Record<string, string>;
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy());
  });
  #pipeline: Promise<AmusedPipeline> | undefined;

  /** @param bundles folders by id */
  constructor(page: string, bundles: Record<string, string>) {
    this.#page = page;
    this.#bundles = bundles;
  }

  /** Start on a port; the same one when it starts again. */
  async start(): Promise<this> {
    const port = this.url ? Number(new URL(this.url).port) : 0;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(port, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the server has no port");
    this.url = `http://127.0.0.1:${address.port}`;
    return this;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await (await this.#pipeline)?.close();
    this.#pipeline = undefined;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    this.asked.push(path);
    for (const [name, value] of Object.entries({ ...HEADERS, ...(this.isolated && ISOLATED) })) {
      response.setHeader(name, value);
    }
    if (path === "/api/bundles") return json(response, 200, await this.#offer());
    if (path === "/api/generate" && request.method === "POST") return this.#generate(request, response);
    if (path === "/api/device-results" && request.method === "POST") {
      this.results.push(JSON.parse(await bodyOf(request)));
      return json(response, 200, {});
    }
    await this.#file(path, request, response);
  }

  async #offer(): Promise<object> {
    const bundles = Object.entries(this.#bundles).map(async ([id, folder]) => {
      const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8").catch(() => "{}"));
      // biome-ignore lint/suspicious/noExplicitAny: a manifest as JSON
      const files: any[] = Object.values(manifest.graphs ?? {}).flatMap((graph: any) => graph.files);
      return {
        id,
        name: manifest.model?.name ?? id,
        recipe: manifest.quantization?.recipe?.name ?? "",
        files: `/bundles/${id}/`,
        bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      };
    });
    return {
      bundles: await Promise.all(bundles),
      compute: this.compute,
      device: this.device,
      secure: true,
      version: "0.1.0",
    };
  }

  async #generate(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked: DrawRequest = JSON.parse(await bodyOf(request));
    this.requests.push(asked);
    const tell = (name: string, data: object): void => {
      response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
    };
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    tell("queued", { position: 0 });
    const abort = new AbortController();
    response.on("close", () => {
      if (!response.writableEnded) {
        this.left += 1;
        abort.abort();
      }
    });
    try {
      this.#pipeline ??= openDemo();
      const pipeline = await this.#pipeline;
      const options = {
        seed: BigInt(asked.seed ?? 0),
        ...(asked.steps !== undefined && { steps: asked.steps }),
        ...(asked.guidance_scale !== undefined && { guidanceScale: asked.guidance_scale }),
        signal: abort.signal,
      };
      const onStep: NonNullable<Parameters<AmusedPipeline["generate"]>[1]>["onStep"] = async (_, step) => {
        const [preview] = await pipeline.preview(step);
        tell("step", { step: step.index + 1, steps: step.steps, preview: base64(pngOf(preview)) });
        await new Promise((resolve) => setTimeout(resolve, 5)); // what was written goes out, a client that left is seen
      };
      const [picture] = await pipeline.generate(taskOf(asked), { ...options, onStep });
      const text = parametersToText(picture.parameters);
      tell("picture", { png: base64(pngOf(picture.image, picture.parameters)), parameters: JSON.parse(text) });
      tell("done", {});
    } catch (error) {
      tell("error", { type: (error as Error).name, message: (error as Error).message });
    }
    response.end();
  }

  async #file(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, first, id = "", ...rest] = path.split("/");
    const folder = first === "bundles" ? this.#bundles[id] : this.#page;
    const inside = normalize(first === "bundles" ? rest.join("/") : path.slice(1) || "index.html");
    const file = folder === undefined || inside.startsWith("..") ? undefined : join(folder, inside);
    const found = file === undefined ? undefined : await stat(file).catch(() => undefined);
    if (!file || !found?.isFile()) return refuse(response, 404, "not_found", "there is nothing here");
    const etag = `"${found.size}-${Math.trunc(found.mtimeMs)}-${Number(this.isolated)}"`;
    response.setHeader("etag", etag);
    response.setHeader("cache-control", "no-cache");
    if (request.headers["if-none-match"] === etag) return void response.writeHead(304).end();
    const [, start] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? [];
    const begin = Number(start ?? 0);
    response.writeHead(start === undefined ? 200 : 206, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "content-length": found.size - begin,
      ...(start !== undefined && { "content-range": `bytes ${begin}-${found.size - 1}/${found.size}` }),
    });
    this.sent.set(path, (this.sent.get(path) ?? 0) + found.size - begin);
    createReadStream(file, { start: begin }).pipe(response);
  }
}

function taskOf(asked: DrawRequest): Task {
  const picture = (name: string): ImageSource => readPng(Buffer.from(asked[name], "base64")).image;
  const common = { negativePrompts: asked.negative_prompts, firstPicture: BigInt(asked.first_picture) };
  if (asked.task === "text_to_image") return textToImage(asked.prompts, common);
  const own = { ...common, strength: asked.strength, fit: asked.fit };
  if (asked.task === "variation") return variation(asked.prompts, picture("image"), own);
  const { coverage, paste_back: pasteBack, feather } = asked;
  return inpainting(asked.prompts, picture("image"), picture("mask"), { ...own, coverage, pasteBack, feather });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

function json(response: ServerResponse, status: number, content: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(content));
}

/** As the real server says what is wrong with a request. */
function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  json(response, status, { error: { message, type: "invalid_request_error", param: null, code } });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
