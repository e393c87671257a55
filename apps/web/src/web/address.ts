/** Addresses that callers give, as of the page. */

import { OptionsError, quoted } from "../errors.js";

/** Return the whole of an address that may be of the page's own server; `name` is what the caller calls it. */
export function absolute(name: string, url: string | URL): string {
  try {
    return new URL(url, document.baseURI).href;
  } catch {
    throw new OptionsError(
      `${name} is ${quoted(String(url))}, which is no address; give one of the page's server or http(s)`,
    );
  }
}
