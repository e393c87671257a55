/** Numbers and errors as people read them. */

/** Return seconds, as "0.84 s" or "3 min 5 s". */
export function seconds(value: number): string {
  if (value < 10) {
    return `${value.toFixed(value < 1 ? 2 : 1)} s`;
  }
  const whole = Math.round(value);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Return milliseconds, as "8.4 ms"; from a second on, seconds. */
export function milliseconds(value: number): string {
  return value >= 1 ? seconds(value) : `${(1000 * value).toFixed(value < 0.1 ? 1 : 0)} ms`;
}

export function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

export function percent(share: number, digits = 0): string {
  return `${(100 * share).toFixed(digits)} %`;
}

const TITLES: Readonly<Record<string, string>> = {
  DownloadError: "The model could not be fetched",
  StorageError: "The browser has no room for the model",
  BundleError: "This bundle cannot be used",
  ProviderError: "This device cannot draw with it",
  GraphError: "The engine failed",
  OptionsError: "Something in the settings does not fit",
  StateError: "These parameters cannot be used",
};

/** Return what went wrong, in short. */
export function titleOf(error: unknown): string {
  return (error instanceof Error && TITLES[error.name]) || "It did not work";
}

/** Return what an error says, as a sentence. */
export function sentenceOf(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error);
  const text = said.trim() || "no reason was given";
  const whole = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
