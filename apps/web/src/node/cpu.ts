/** What onnxruntime must be told of this CPU. */

import { readFileSync } from "node:fs";
import { arch } from "node:os";

/** x86's instruction sets of 8-bit dot products, as Linux names them. */
const VNNI = /\b(avx512_vnni|avx_vnni|amx_int8)\b/;

/**
 * Return session options without which products of signed 8-bit weights, as in bundles of `--optimize cpu`, saturate on
 * x86 CPUs that lack VNNI: the weights become unsigned ones, which add up exactly but slowly.
 */
export function sessionsOfThisCpu(): Record<string, unknown> {
  return addsSignedProductsExactly() ? {} : { extra: { session: { x64quantprecision: "1" } } };
}

/** Say whether they are known not to saturate: on what is no x86, and on x86 with VNNI, which only Linux tells. */
function addsSignedProductsExactly(): boolean {
  if (arch() !== "x64" && arch() !== "ia32") {
    return true;
  }
  try {
    return VNNI.test(readFileSync("/proc/cpuinfo", "utf8"));
  } catch {
    return false;
  }
}
