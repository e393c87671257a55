/** The tiny bundle with changes: the same files, but for those that are written anew. */
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TINY_BUNDLE } from "./paths.js";

// biome-ignore lint/suspicious/noExplicitAny: a manifest as JSON
export type PlainManifest = any;

export class Variants {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Variants> {
    return new Variants(await mkdtemp(join(tmpdir(), "variants-")));
  }

  /** Make a bundle whose manifest is edited, with other content of some files. Return its name in the folder. */
  async add(edit: (manifest: PlainManifest) => void, files: Record<string, string> = {}): Promise<string> {
    const folder = await mkdtemp(join(this.folder, "bundle-"));
    const manifest = JSON.parse(await readFile(join(TINY_BUNDLE, "manifest.json"), "utf8"));
    edit(manifest);
    const written: Record<string, string> = { ...files, "manifest.json": JSON.stringify(manifest) };
    for (const name of await readdir(TINY_BUNDLE)) {
      const content = written[name];
      if (content === undefined) await symlink(join(TINY_BUNDLE, name), join(folder, name));
      else await writeFile(join(folder, name), content);
    }
    return folder.slice(this.folder.length + 1);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
