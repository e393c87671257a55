/**
 * A static server for tests: loopback only, the folders it was given and no others, and the faults that a download must
 * survive. It knows nothing of bundles.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";

/** What happens to the answers of a path. */
export interface Fault {
  /**
   * cut: the connection breaks after `at` bytes of the answer. flip: the byte at `at` of the file is another one.
   * status: the answer is `status`, without a body. stall: `at` bytes, then nothing until the client leaves.
   * whole: all of the file comes, whatever part was asked for.
   */
  readonly kind: "cut" | "flip" | "status" | "stall" | "whole";
  readonly at?: number;
  readonly status?: number;
  /** Of how many answers; default all. */
  readonly times?: number;
}

/** One answer: which part was asked for, and how many bytes of a body were sent. */
export interface Answer {
  readonly path: string;
  readonly range: string | undefined;
  status: number;
  bytes: number;
}

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".png": "image/png",
};

const ISOLATED = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

export class TestServer {
  /** Whether pages are isolated, so that they may have threads. */
  isolated = true;
  answers: Answer[] = [];
  url = "";
  readonly #folders: Record<string, string>;
  readonly #faults = new Map<string, { fault: Fault; left: number }>();
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy());
  });

  /** @param folders by the first part of a URL's path; "" has what is in none of them */
  constructor(folders: Record<string, string>) {
    this.#folders = folders;
    this.#server.maxConnections = 64;
  }

  /** Starts on a free port. */
  async start(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the server has no port");
    this.url = `http://127.0.0.1:${address.port}`;
    return this;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  fail(path: string, fault: Fault): void {
    this.#faults.set(path, { fault, left: fault.times ?? Number.POSITIVE_INFINITY });
  }

  /** Ends all faults and forgets the answers. */
  reset(): void {
    this.#faults.clear();
    this.answers = [];
    this.isolated = true;
  }

  /** Bytes sent of all paths that begin so. */
  sent(prefix: string): number {
    return this.answers.filter((one) => one.path.startsWith(prefix)).reduce((sum, one) => sum + one.bytes, 0);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    const answer: Answer = { path, range: request.headers.range, status: 0, bytes: 0 };
    this.answers.push(answer);
    const headers = { "cross-origin-resource-policy": "same-origin", ...(this.isolated && ISOLATED) };
    const end = (status: number) => {
      answer.status = status;
      response.writeHead(status, { ...headers, "content-length": "0" }).end();
    };
    const fault = this.#fault(path);
    const file = this.#file(path);
    const found = file === undefined ? undefined : await stat(file).catch(() => undefined);
    if (fault?.kind === "status") return end(fault.status ?? 500);
    if (request.method !== "GET" || file === undefined || !found?.isFile()) return end(404);
    const etag = `"${[found.size, Math.trunc(found.mtimeMs), Number(this.isolated)].join("-")}"`;
    if (request.headers["if-none-match"] === etag) return end(304);
    const part = fault?.kind === "whole" ? undefined : partOf(request.headers.range, found.size);
    if (part === null) return end(416);
    const [first, last] = part ?? [0, found.size - 1];
    answer.status = part === undefined ? 200 : 206;
    response.writeHead(answer.status, {
      ...headers,
      ...(part && { "content-range": `bytes ${first}-${last}/${found.size}` }),
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "content-length": String(last - first + 1),
      "accept-ranges": "bytes",
      "cache-control": "no-cache",
      etag,
    });
    await send(file, [first, last], response, fault, answer);
  }

  #fault(path: string): Fault | undefined {
    const found = this.#faults.get(path);
    if (found === undefined || found.left <= 0) return undefined;
    found.left -= 1;
    return found.fault;
  }

  #file(path: string): string | undefined {
    const [, name = "", ...rest] = path.split("/");
    const found = this.#folders[name];
    const folder = found ?? this.#folders[""];
    const inside = normalize((found && name ? rest.join("/") : path.slice(1)) || "index.html");
    if (folder === undefined || inside.startsWith("..")) return undefined;
    return join(folder, inside.endsWith("/") ? `${inside}index.html` : inside);
  }
}

/** The first and last byte asked for; undefined for the whole file, null for a part that is not there. */
function partOf(header: string | undefined, size: number): [number, number] | undefined | null {
  const found = /^bytes=(\d+)-(\d*)$/.exec(header ?? "");
  if (found === null) return undefined;
  const first = Number(found[1]);
  return first >= size ? null : [first, Math.min(found[2] ? Number(found[2]) : size - 1, size - 1)];
}

async function send(
  file: string,
  [first, last]: [number, number],
  response: ServerResponse,
  fault: Fault | undefined,
  answer: Answer,
): Promise<void> {
  const stops = fault?.kind === "cut" || fault?.kind === "stall" ? (fault.at ?? 0) : Number.POSITIVE_INFINITY;
  const flipped = fault?.kind === "flip" ? (fault.at ?? 0) - first : -1;
  for await (const chunk of createReadStream(file, { start: first, end: last })) {
    const piece = Buffer.from(chunk as Buffer).subarray(0, stops - answer.bytes);
    const at = flipped - answer.bytes;
    if (at >= 0 && at < piece.length) piece.writeUInt8(piece.readUInt8(at) ^ 1, at);
    answer.bytes += piece.length;
    if (!response.write(piece) && !response.destroyed) await drained(response);
    if (response.destroyed) return;
    if (answer.bytes >= stops) break;
  }
  if (fault?.kind === "stall") return; // until the client leaves
  if (fault?.kind !== "cut") response.end();
  else setTimeout(() => response.destroy(), 20); // what was written goes out first
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
  });
}
