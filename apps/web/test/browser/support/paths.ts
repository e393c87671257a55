/** Folders that tests serve. */
import { join, resolve } from "node:path";

/** The package's root: tests run as build/test/browser/support/*.js. */
export const PACKAGE = resolve(import.meta.dirname, "../../../..");
export const BUILD = join(PACKAGE, "build");
export const PAGES = join(PACKAGE, "test/browser/pages");
export const EXAMPLE = join(PACKAGE, "examples/browser");
export const TINY_BUNDLE = join(PACKAGE, "test/browser/tiny-bundle");
export const ONNXRUNTIME = join(PACKAGE, "node_modules/onnxruntime-web/dist");
export const REPOSITORY = resolve(PACKAGE, "../..");
export const DEMO_BUNDLE = join(REPOSITORY, "demo/bundle");
