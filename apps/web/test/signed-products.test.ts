/** Where sums of signed 8-bit weights saturate, sessions ask the engine not to. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { arch, platform } from "node:os";
import { test } from "node:test";
import * as ort from "onnxruntime-node";
import type { Ort } from "../src/engines/ort.js";
import { exactSums } from "../src/node/signed-products.js";

const PROTECTED = { extra: { session: { x64quantprecision: "1" } } };

const skip = platform() === "linux" && arch() === "x64" ? false : "needs Linux on x86 to compare";
test("the engine finds what the system says of the CPU", { skip }, async () => {
  const dotProducts = /\b(avx512_vnni|avx_vnni|amx_int8)\b/.test(readFileSync("/proc/cpuinfo", "utf8"));
  assert.deepEqual(await exactSums(ort), dotProducts ? {} : PROTECTED);
});

test("two pairs that saturate, as on a Haswell, are seen", async () => {
  let released = false;
  const run = async () => ({ y: { data: [2 * 32767] } });
  const release = async () => {
    released = true;
  };
  const create = async () => ({ inputNames: [], outputNames: [], run, release });
  assert.deepEqual(await exactSums({ Tensor: ort.Tensor, InferenceSession: { create } } as Ort), PROTECTED);
  assert.ok(released);
});
