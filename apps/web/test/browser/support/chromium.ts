/** A headless Chromium for tests: Debian's, or whichever the machine has; none is fetched. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/** Without a graphics card, as root in a container: WebGPU in software, no sandbox. */
export const FLAGS = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

const { CHROMIUM, PATH = "", REQUIRE_CHROMIUM } = process.env;

/** The path of a Chromium: the environment's CHROMIUM, or the first that is found on the PATH. */
export const executable = CHROMIUM || found();

/** Why browser tests cannot run here; false: they can. */
export const skip = executable
  ? false
  : `no Chromium: neither CHROMIUM is set nor one of ${NAMES.join(", ")} installed`;

/** A test that cannot run for the lack of Chromium fails instead where this is set, as in CI. */
if (skip && REQUIRE_CHROMIUM) {
  throw new Error(skip);
}

export async function launch(flags: readonly string[] = FLAGS): Promise<Browser> {
  if (!executable) throw new Error(String(skip));
  return chromium.launch({ executablePath: executable, args: [...flags] });
}

/** A new page, of a visitor of its own unless a context is given. What goes wrong in it is kept in `complaints`. */
export async function openPage(
  browser: Browser | BrowserContext,
  url: string,
): Promise<Page & { complaints: string[] }> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  const { origin } = new URL(url);
  page.on("request", (request) => {
    if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== origin) {
      complaints.push(`it asked ${request.url()}`); // nothing but the page's own server is ever asked
    }
  });
  await page.goto(url);
  return Object.assign(page, { complaints });
}

function found(): string | undefined {
  const folders = PATH.split(delimiter).filter((folder) => folder);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
