/** The studio as a visitor uses it: what every test of it does. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BrowserContext, Page } from "playwright-core";
import { openPage } from "../../browser/support/chromium.js";
import { BUILD, PACKAGE } from "../../browser/support/paths.js";

export const PAGE = join(BUILD, "studio-page");
export const SCREENSHOTS = join(BUILD, "screenshots");
/** Colours that are on their way to others would be measured as they are. */
const STILL = { reducedMotion: "reduce" } as const;
export const PHONE = {
  ...STILL,
  serviceWorkers: "block", // which keeps megabytes
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
} as const;
export const DESKTOP = { ...STILL, viewport: { width: 1280, height: 800 } } as const;
const PATIENCE = 120_000;

/** A picture that the page tells of. */
export interface Told {
  readonly bundle: string;
  readonly tokens: number[] | undefined;
  readonly parameters: string;
}

declare global {
  interface Window {
    told: Told[];
    // biome-ignore lint/suspicious/noExplicitAny: axe-core, put into the page
    axe: any;
  }
}

export async function buildPage(): Promise<void> {
  await promisify(execFile)(process.execPath, [join(PACKAGE, "studio/build.mjs"), PAGE]);
}

/** Open the studio, and wait until it is ready. What is drawn is kept in `window.told`. */
export async function openStudio(context: BrowserContext, url: string): Promise<Page & { complaints: string[] }> {
  await context.addInitScript(() => {
    if (window.told) return; // of another tab
    window.told = [];
    document.addEventListener("picture", (event) => {
      const { bundle, tokens, parameters } = (event as CustomEvent).detail;
      window.told.push({ bundle, tokens: tokens && [...tokens], parameters });
    });
  });
  const page = await openPage(context, url);
  page.setDefaultTimeout(PATIENCE);
  await page.locator("[data-ready]").waitFor();
  return page;
}

/** Draw with what is in the form, and return what the page tells of it. */
export async function draw(page: Page, pictures = 1): Promise<Told[]> {
  await page.evaluate(() => {
    window.told = [];
  });
  await page.getByRole("button", { name: "Draw", exact: true }).click();
  await page.locator("#draw:not([hidden])").waitFor();
  const told = await page.evaluate(() => window.told);
  const problem = await page.locator("#problem:not([hidden])").allTextContents();
  assert.deepEqual(problem, []);
  assert.equal(told.length, pictures);
  return told;
}

/** Choose exactly these bundles. */
export async function choose(page: Page, ...ids: string[]): Promise<void> {
  for (const box of await page.locator("#bundles input").all()) {
    await box.setChecked(ids.includes((await box.getAttribute("value")) ?? ""), { force: true });
  }
}

export async function task(page: Page, name: string): Promise<void> {
  await page.getByRole("radio", { name, exact: true }).check({ force: true });
}

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fail on anything that axe-core has against the page as it is now. */
export async function checkAccessible(page: Page, where: string): Promise<void> {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => window.axe.run());
  // biome-ignore lint/suspicious/noExplicitAny: what axe-core returns
  const said = violations.map((one: any) => `${one.id}: ${one.nodes.map((node: any) => node.target).join(", ")}`);
  assert.deepEqual(said, [], where);
  assert.ok(passes.length > 20, `${where}: only ${passes.length} rules applied`);
}

/** Fail where something reaches beyond the screen. */
export async function checkWidth(page: Page): Promise<void> {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wide <= 0, `${wide} pixels too wide`);
}
