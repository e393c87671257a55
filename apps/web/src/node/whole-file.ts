/**
 * Files that appear complete or not at all, and replace none.
 *
 * What is unfinished lies hidden beside its place and tells which process writes it, under the names that the Python
 * package gives: what a killed process left is removed by the next one, of either, that writes to the place.
 */

import { randomBytes } from "node:crypto";
import { link, lstat, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { kill, pid } from "node:process";
import { AmusedEdgeError, OptionsError } from "../errors.js";

/** Of the place's own name, in that of what is unfinished: a name may have 255. */
const NAME_BYTES = 96;

/** Write a file; throws an `OptionsError` where its place is taken, an `AmusedEdgeError` where it cannot be written. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await removeAbandoned(path);
  const partial = join(dirname(path), `${mark(path)}${pid}-${randomBytes(4).toString("hex")}`);
  let moved: boolean;
  try {
    await writeFile(partial, bytes, { flag: "wx" });
    moved = await moveToFreePlace(partial, path);
  } catch (error) {
    throw new AmusedEdgeError(`cannot write ${path}: ${(error as Error).message}`);
  } finally {
    await unlink(partial).catch(() => undefined);
  }
  if (!moved) {
    throw new OptionsError(`${path} exists; choose another name or remove it`);
  }
}

/** Remove what writers of the same place left on this host when they were killed. */
async function removeAbandoned(path: string): Promise<void> {
  const [folder, beginning] = [dirname(path), mark(path)];
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((each) => each.startsWith(beginning))) {
    const [writer = ""] = name.slice(beginning.length).split("-");
    if (/^[0-9]+$/.test(writer) && !lives(Number(writer))) {
      await unlink(join(folder, name)).catch(() => undefined);
    }
  }
}

/** Return how names of what is unfinished begin for this place on this host; process id and a random part follow. */
function mark(path: string): string {
  const name = Buffer.from(basename(path)).subarray(0, NAME_BYTES);
  const whole = new TextDecoder().decode(name, { stream: true }); // a letter that was cut in two is left out
  return `.${whole}.partial-${hostname()}-`;
}

function lives(process: number): boolean {
  try {
    kill(process, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Like a rename, but leaves a file that came meanwhile as it is; says whether the place was free. */
async function moveToFreePlace(partial: string, path: string): Promise<boolean> {
  try {
    await link(partial, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST" || (await exists(path))) {
      return false;
    }
    await rename(partial, path); // a file system without hard links
  }
  return true;
}

function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
