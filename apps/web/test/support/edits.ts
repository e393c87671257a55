/** Edits that make a damaged bundle of a whole one, as conformance/edits.py describes them, in memory. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { Values } from "./vectors.js";

export type Files = Record<string, Uint8Array>;

/** Read all files of a bundle's folder. */
export function readFiles(folder: string): Files {
  return Object.fromEntries(
    readdirSync(folder).map((name) => [name, new Uint8Array(readFileSync(`${folder}/${name}`))]),
  );
}

/** Return the files of a bundle after some edits. */
export function edited(files: Files, edits: readonly Values[]): Files {
  const changed = { ...files };
  for (const edit of edits) {
    OPERATIONS[edit.op](changed, edit);
  }
  return changed;
}

const OPERATIONS: Readonly<Record<string, (files: Files, edit: Values) => void>> = {
  set: (files, { file, path, value }) => withJson(files, file, (content) => put(content, path, value)),
  remove: (files, { file, path }) =>
    withJson(files, file, (content) => {
      delete parentOf(content, path)[path.at(-1)];
    }),
  write: (files, { file, text }) => {
    files[file] = Buffer.from(text);
  },
  replace: (files, edit) => {
    const text = Buffer.from(files[edit.file]).toString("latin1");
    files[edit.file] = Buffer.from(
      text.replace(edit.find, () => edit.with),
      "latin1",
    );
  },
  truncate: (files, { file, bytes }) => {
    files[file] = files[file].slice(0, files[file].length - bytes);
  },
  append: (files, { file, text }) => {
    files[file] = Buffer.concat([files[file], Buffer.from(text)]);
  },
  flip: (files, { file, offset, mask }) => {
    files[file] = files[file].slice();
    files[file][offset < 0 ? files[file].length + offset : offset] ^= mask;
  },
  delete: (files, { file }) => {
    delete files[file];
  },
  copy: (files, { file, to }) => {
    files[to] = files[file];
  },
  relist: (files, { file }) => {
    const sha256 = createHash("sha256").update(files[file]).digest("hex");
    withJson(files, "manifest.json", (manifest) => {
      const graphs: Values[] = Object.values(manifest.graphs);
      for (const entry of [...Object.values<Values>(manifest.files), ...graphs.flatMap((graph) => graph.files)]) {
        if (entry.path === file) {
          Object.assign(entry, { bytes: files[file].length, sha256 });
        }
      }
    });
  },
};

function withJson(files: Files, file: string, change: (content: Values) => void): void {
  const content = JSON.parse(Buffer.from(files[file]).toString());
  change(content);
  files[file] = Buffer.from(JSON.stringify(content));
}

function parentOf(content: Values, path: string[]): Values {
  return path.slice(0, -1).reduce((place, name) => place[name], content);
}

function put(content: Values, path: string[], value: unknown): void {
  parentOf(content, path)[path.at(-1) as string] = value;
}
