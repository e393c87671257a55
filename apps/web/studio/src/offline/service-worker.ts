/**
 * Keeps the page itself for visits without a network. The server is asked first; only onnxruntime-web's large files,
 * which belong to one build, are taken from what is kept. Models are kept by the runtime, not here.
 */

/** A hash of all files of this build, and their names; put in when it is built. */
declare const VERSION: string;
declare const FILES: readonly string[];

interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface Scope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
}

const scope = globalThis as unknown as Scope;
const PREFIX = "amused-edge page ";
const CACHE = PREFIX + VERSION;
/** How long the server may take before what is kept is shown, in ms. */
const PATIENCE = 4000;

scope.addEventListener("install", (event) => {
  event.waitUntil(keepAll());
});

scope.addEventListener("activate", (event) => {
  event.waitUntil(dropOthers().then(() => scope.clients.claim()));
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const { pathname, href } = new URL(request.url);
  const root = new URL(scope.registration.scope);
  if (request.method !== "GET" || !href.startsWith(root.href)) return;
  const name = pathname.slice(root.pathname.length) || "index.html";
  if (name.startsWith("ort/")) {
    event.respondWith(keptFirst(request, name));
  } else if (FILES.includes(name) || name === "api/bundles" || /^bundles\/[^/]+\/manifest\.json$/.test(name)) {
    event.respondWith(serverFirst(request, name));
  }
});

async function keepAll(): Promise<void> {
  const cache = await caches.open(CACHE);
  await Promise.all(
    [...FILES, "api/bundles"].map(async (name) => {
      const response = await fetch(name === "index.html" ? "./" : name, { cache: "no-cache" });
      if (!response.ok) throw new Error(`${name}: ${response.status}`);
      await cache.put(name, response);
    }),
  );
  await scope.skipWaiting();
}

async function dropOthers(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(
    names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)),
  );
}

async function keptFirst(request: Request, name: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(name);
  if (kept) return kept;
  const response = await fetch(request);
  if (response.status === 200) await cache.put(name, response.clone());
  return response;
}

async function serverFirst(request: Request, name: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(name);
  const asked = fetch(request);
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), PATIENCE));
  const response = await (kept ? Promise.race([asked, late]) : asked).catch(() => undefined);
  if (response?.ok && !FILES.includes(name)) await cache.put(name, response.clone());
  if (kept && (response === undefined || response.status >= 500)) return kept;
  return response ?? asked;
}
