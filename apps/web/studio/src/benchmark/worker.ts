/**
 * The worker that draws. Asked to measure (`worker.js?measure=PROVIDER&ort=FOLDER`), it tells the page how long each
 * call of a graph took, what memory the engine has, and, when asked, logits.
 */

import { importOrt } from "../../../src/web/ort-module.js";
import type { Provider } from "../../../src/web/providers.js";
import { serveWith } from "../../../src/web/serve.js";
import { measuring, watchMemory } from "./measuring.js";

const asked = new URL(location.href).searchParams;
const provider = asked.get("measure");

if (provider === null) {
  serveWith();
} else {
  await serveMeasured(provider as Provider, asked.get("ort") ?? "");
}

/** Serve with an engine that is timed; what the page says before the engine is there waits. */
async function serveMeasured(provider: Provider, folder: string): Promise<void> {
  const waiting: unknown[] = [];
  const hold = (event: MessageEvent): void => {
    waiting.push(event.data);
  };
  globalThis.addEventListener("message", hold);
  const memory = watchMemory();
  const ort = await importOrt(folder, provider);
  serveWith(measuring(ort, memory, (message) => postMessage(message)));
  globalThis.removeEventListener("message", hold);
  for (const data of waiting) {
    globalThis.dispatchEvent(new MessageEvent("message", { data }));
  }
}
