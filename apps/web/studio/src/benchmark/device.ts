/** What the browser says of the device: little, and what it does not say is left out. */

import { isIos } from "../compute/surroundings.js";

export interface DeviceFacts {
  readonly device: string;
  readonly runtime: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memory: number | null;
  readonly system: string;
  /** Of the graphics card, as far as the browser tells. */
  readonly gpu: string;
  readonly userAgent: string;
}

export interface Battery {
  /** 0 to 1. */
  readonly level: number;
  readonly charging: boolean;
}

interface Brand {
  readonly brand: string;
  readonly version: string;
}

interface Told {
  readonly deviceMemory?: number;
  readonly getBattery?: () => Promise<Battery>;
  readonly gpu?: {
    requestAdapter(): Promise<{ info: { vendor: string; architecture: string; description: string } } | null>;
  };
  readonly userAgentData?: {
    readonly brands: readonly Brand[];
    getHighEntropyValues(names: readonly string[]): Promise<Readonly<Record<string, string | Brand[]>>>;
  };
}

const told = navigator as Navigator & Told;
const UNKNOWN = "not told by the browser";

export async function deviceFacts(): Promise<DeviceFacts> {
  const names = ["architecture", "bitness", "model", "platform", "platformVersion", "fullVersionList"];
  const said = (await told.userAgentData?.getHighEntropyValues(names).catch(() => undefined)) ?? {};
  const system =
    [said.platform, said.platformVersion].filter((part) => part).join(" ") || systemOf(navigator.userAgent);
  const cpu = [said.architecture, said.bitness && `${said.bitness} bits`].filter((part) => part).join(" ") || UNKNOWN;
  return {
    device: String(said.model ?? "") || deviceOf(navigator.userAgent) || system,
    runtime: browserOf(said.fullVersionList as Brand[] | undefined),
    cpu,
    cores: navigator.hardwareConcurrency || 1,
    memory: told.deviceMemory === undefined ? null : Math.round(told.deviceMemory * 2 ** 30),
    system,
    gpu: await graphicsCard(),
    userAgent: navigator.userAgent,
  };
}

/** Return the battery's state, where the browser tells it. */
export async function battery(): Promise<Battery | undefined> {
  const found = await told.getBattery?.().catch(() => undefined);
  return found && { level: found.level, charging: found.charging };
}

let pressure = "";

/** Follow what the browser says of the processor's load and heat, where it says anything. */
export async function watchPressure(): Promise<void> {
  type Observer = new (changed: (records: { state: string }[]) => void) => { observe(source: "cpu"): Promise<void> };
  const { PressureObserver } = globalThis as { PressureObserver?: Observer };
  try {
    await new (PressureObserver as Observer)((records) => {
      pressure = records.at(-1)?.state ?? pressure;
    }).observe("cpu");
  } catch {
    pressure = ""; // most browsers
  }
}

/** Return the last state that was told: nominal, fair, serious or critical; empty where none was. */
export function thermalState(): string {
  return pressure;
}

/** Keep the screen on while something runs; where that is not possible, nothing happens. */
export async function keepAwake(): Promise<() => void> {
  const lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
  return () => void lock?.release().catch(() => undefined);
}

async function graphicsCard(): Promise<string> {
  const adapter = await told.gpu?.requestAdapter().catch(() => null);
  const { vendor = "", architecture = "", description = "" } = adapter?.info ?? {};
  return description || [vendor, architecture].filter((part) => part).join(" ");
}

function browserOf(brands: readonly Brand[] | undefined): string {
  const known = brands?.filter(({ brand }) => !/not.?a.?brand/i.test(brand)) ?? [];
  const brand = known.find((one) => one.brand !== "Chromium") ?? known[0];
  if (brand) return `${brand.brand} ${brand.version.split(".")[0]}`;
  const { userAgent } = navigator;
  const [, name, version] =
    /(Firefox|FxiOS|CriOS|EdgiOS|HeadlessChrome|Chrome)\/(\d+)/.exec(userAgent) ??
    /(Version)\/([\d.]+).*Safari/.exec(userAgent) ??
    [];
  const spoken: Record<string, string> = { FxiOS: "Firefox", CriOS: "Chrome", EdgiOS: "Edge", Version: "Safari" };
  return name ? `${spoken[name] ?? name} ${version}` : "a browser";
}

function systemOf(userAgent: string): string {
  const [, inside = ""] = /\(([^)]*)\)/.exec(userAgent) ?? [];
  const [, version] = /OS (\d+[_\d]*)/.exec(inside) ?? [];
  return isIos() && version
    ? `iOS ${version.replaceAll("_", ".")}`
    : inside.split(";").slice(0, 2).join(";") || "unknown";
}

function deviceOf(userAgent: string): string {
  const [name = ""] = /iPhone|iPad/.exec(userAgent) ?? (isIos() ? ["iPad"] : []);
  return name;
}
