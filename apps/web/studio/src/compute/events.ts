/** Server-sent events of an answer to a POST, which `EventSource` cannot ask for. */

export interface ServerEvent {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: what an event holds depends on its name
  readonly data: Readonly<Record<string, any>>;
}

/** Yield the events of a stream as they come; comments and fields that are not known are passed over. */
export async function* events(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<ServerEvent> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const text = rest + (value ?? "");
      const held = !done && text.endsWith("\r") ? "\r" : ""; // its "\n" may be on the way
      const blocks = text
        .slice(0, text.length - held.length)
        .replace(/\r\n?/g, "\n")
        .split("\n\n");
      rest = done ? "" : (blocks.pop() ?? "") + held;
      for (const block of blocks) {
        const event = eventOf(block);
        if (event) {
          yield event;
        }
      }
      if (done) {
        return;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined); // the server draws no further for who has left
  }
}

function eventOf(block: string): ServerEvent | undefined {
  let name = "message";
  const lines: string[] = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^(event|data): ?(.*)$/.exec(line) ?? [];
    if (field === "event") {
      name = value ?? name;
    } else if (field === "data") {
      lines.push(value ?? "");
    }
  }
  if (!lines.length && name === "message") {
    return undefined;
  }
  return { name, data: lines.length ? (JSON.parse(lines.join("\n")) as ServerEvent["data"]) : {} };
}
