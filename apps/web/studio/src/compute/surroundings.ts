/** What this browser can do here, and what it cannot. */

const GB = 1e9;

interface Told {
  readonly deviceMemory?: number;
  readonly gpu?: object;
  readonly userAgentData?: { readonly mobile?: boolean };
}

const told = navigator as Navigator & Told;

/** An iPhone or iPad, whose browsers are all WebKit; an iPad may call itself a Mac, but has fingers. */
export function isIos(): boolean {
  return (
    /iPhone|iPad|iPod/.test(navigator.userAgent) ||
    (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1)
  );
}

export function isPhone(): boolean {
  return told.userAgentData?.mobile ?? (isIos() || /Android/.test(navigator.userAgent));
}

export function hasWebGpu(): boolean {
  return told.gpu !== undefined;
}

export function hasThreads(): boolean {
  return globalThis.crossOriginIsolated === true;
}

/** Return one thread where more are not to be had, or are reported to fail, as on iOS; else the engine chooses. */
export function defaultThreads(): number | undefined {
  return hasThreads() && !isIos() ? undefined : 1;
}

/** Bytes that models may take at once: an estimate that leaves room for the rest of the device. */
export function memoryBudget(): number {
  const most = isIos() ? 0.8 * GB : isPhone() ? 1.2 * GB : 2.5 * GB;
  return told.deviceMemory === undefined ? most : Math.min(most, told.deviceMemory * 0.35 * GB);
}

/** Say what this page cannot do because of how it came, and how it can; nothing where all is there. */
export function whatIsMissing(): string | undefined {
  if (!globalThis.isSecureContext) {
    return (
      "This page came by plain http: it has one thread, no graphics card, and keeps no model for the next visit. " +
      "It draws all the same, slower. Started with --tls, or opened on localhost, it has all."
    );
  }
  return hasThreads() ? undefined : "This page has one thread, because its server sends no isolation headers.";
}
