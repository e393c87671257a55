/** What graphs ask of a graphics card, and bundles of memory: told from files, without a browser. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { BundleError, type GraphEntry, type Manifest, ProviderError } from "../../src/index.js";
import { checkMemory, memoryNeeds } from "../../src/web/fit.js";
import { demands } from "../../src/web/graph-scan.js";
import { type Adapter, checkDemands } from "../../src/web/providers.js";
import { DEMO_BUNDLE } from "./support/paths.js";

/** A field of protobuf: with a length, or a whole number below 128. */
function field(number: number, value: number[] | number): number[] {
  return typeof value === "number" ? [number * 8, value] : [number * 8 + 2, value.length, ...value];
}

const letters = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));

/** An ONNX model of one node, with so many inputs and outputs, and one initializer of a type. */
function model(operator: string, inputs: number, outputs: number, type: number): Uint8Array {
  const names = (number: number, count: number): number[] =>
    Array.from({ length: count }, () => field(number, letters("x"))).flat();
  const node = [...names(1, inputs), ...names(2, outputs), ...field(4, letters(operator))];
  return Uint8Array.from(field(7, [...field(1, node), ...field(5, field(2, type))]));
}

function adapter(buffers: number, ...features: string[]): Adapter {
  const info = { vendor: "", architecture: "", device: "", description: "" };
  return { features: new Set(features), limits: { maxStorageBuffersPerShaderStage: buffers }, info };
}

describe("what a graph asks of a graphics card", () => {
  test("parts of Splits and Concats, and halves", () => {
    assert.deepEqual(demands(model("Split", 2, 8, 1), "m"), { parts: 8, halves: false });
    assert.deepEqual(demands(model("Concat", 9, 1, 10), "m"), { parts: 9, halves: true });
    assert.deepEqual(demands(model("Add", 2, 1, 1), "m"), { parts: 0, halves: false });
  });

  test("what is no model is a BundleError", () => {
    const whole = model("Split", 2, 8, 1);
    assert.throws(() => demands(whole.subarray(0, -1), "denoiser.onnx"), BundleError);
    assert.throws(() => demands(Uint8Array.of(0x3f, 1), "denoiser.onnx"), /denoiser\.onnx is not an ONNX model/);
  });

  test("the demo's graphs run on every card: WebGPU promises 8 buffers", async () => {
    for (const role of ["text_encoder", "conditioner", "denoiser", "image_decoder", "image_encoder"]) {
      const found = demands(await readFile(join(DEMO_BUNDLE, `${role}.onnx`)), role);
      checkDemands(role, found, adapter(8));
    }
  });

  test("a card that lacks something is refused", () => {
    checkDemands("denoiser", { parts: 9, halves: true }, adapter(10, "shader-f16"));
    assert.throws(() => checkDemands("denoiser", { parts: 10, halves: false }, adapter(10)), {
      name: "ProviderError",
      message: /the denoiser splits or joins 10 tensors at once, this graphics card up to 9/,
    });
    assert.throws(() => checkDemands("denoiser", { parts: 0, halves: true }, adapter(10)), /no shader-f16/);
  });
});

describe("memory", () => {
  /** Sizes of amused-256 and -512 by recipe, in MB: text encoder, conditioner, denoiser, decoder, encoder. */
  const SIZES = {
    fp32: [495, 860, 1550, 350, 237],
    fp16: [248, 430, 775, 175, 119],
    w8: [124, 222, 400, 88, 61],
  };
  const STORED = { fp32: "float32", fp16: "16 bits 100.0%", w8: "8 bits 100.0%" };

  function bundle(recipe: keyof typeof SIZES, side: number): Manifest {
    const roles = ["text_encoder", "conditioner", "denoiser", "image_decoder", "image_encoder"];
    const graphs = roles.map((role, i): [string, GraphEntry] => {
      const files = [{ path: role, bytes: (SIZES[recipe][i] ?? 0) * 1e6, sha256: "" }];
      return [role, { files, storedPrecision: STORED[recipe] } as unknown as GraphEntry];
    });
    const geometry = { imageHeight: side, imageWidth: side };
    return { model: { name: recipe }, geometry, graphs: Object.fromEntries(graphs) } as unknown as Manifest;
  }

  test("one graph at a time fits into 4 GiB, all at once only of small recipes", () => {
    for (const recipe of ["fp32", "fp16", "w8"] as const) {
      for (const side of [256, 512]) {
        checkMemory(bundle(recipe, side), false, Number.POSITIVE_INFINITY);
      }
    }
    checkMemory(bundle("w8", 256), true, Number.POSITIVE_INFINITY);
    for (const recipe of ["fp32", "fp16"] as const) {
      const all = bundle(recipe, 256);
      assert.throws(() => checkMemory(all, true, Number.POSITIVE_INFINITY), {
        name: "ProviderError",
        message: /WebAssembly's, which ends at 4\.3 GB; leave out keepGraphs/,
      });
    }
  });

  test("what the device has is a bound too", () => {
    const needs = memoryNeeds(bundle("w8", 256));
    assert.ok(needs.peak >= needs.engine);
    assert.throws(() => checkMemory(bundle("w8", 256), false, needs.peak - 1), ProviderError);
    checkMemory(bundle("w8", 256), false, needs.peak);
  });
});
