/** Places in the repository, from where compiled tests lie: build/test/. */

import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../../../", import.meta.url));
export const PACKAGE = fileURLToPath(new URL("../../../", import.meta.url));
export const DEMO = `${ROOT}demo/bundle`;
export const VECTORS = `${ROOT}conformance/vectors/`;
