/** Files that a visitor takes home. */

import { make } from "../page/dom.js";

/** Give a file to the browser's downloads. */
export function save(bytes: Uint8Array<ArrayBuffer>, name: string, type = "image/png"): void {
  const address = URL.createObjectURL(new Blob([bytes], { type }));
  const link = make("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the download has begun long before
}
