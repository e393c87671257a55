import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { deflateSync, inflateSync } from "node:zlib";
import { fromBase64, toBase64 } from "../src/base64.js";
import { dumpJson, parseJson, pythonFloat } from "../src/bundle/json.js";
import { oneLine, quoted } from "../src/errors.js";
import { deflate, inflate } from "../src/tasks/zlib.js";
import { fromUtf8, utf8 } from "../src/utf8.js";

test("floats are written as Python writes them", () => {
  const pairs: [number, string][] = [
    [0, "0.0"],
    [-0, "-0.0"],
    [2, "2.0"],
    [0.1, "0.1"],
    [1e-4, "0.0001"],
    [1e-5, "1e-05"],
    [1.5e-7, "1.5e-07"],
    [123456789012345680, "1.2345678901234568e+17"],
    [1e15, "1000000000000000.0"],
    [1e16, "1e+16"],
    [1e300, "1e+300"],
    [1 / 3, "0.3333333333333333"],
  ];
  for (const [value, text] of pairs) {
    assert.equal(pythonFloat(value), text);
  }
});

test("JSON keeps whole numbers of any size, and refuses what is none", () => {
  const text =
    '{"a": [18446744073709551615, 1.0, -0.0, true, null, "\\u00e9\\n\\ud83e\\udd8a"], "__proto__": {"b": []}}';
  const value = parseJson(text);
  assert.equal(dumpJson(value), text.replace("\\u00e9", "é").replace("\\ud83e\\udd8a", "🦊"));
  assert.equal(
    dumpJson(value, true),
    '{"__proto__": {"b": []}, "a": [18446744073709551615, 1.0, -0.0, true, null, "\\u00e9\\n\\ud83e\\udd8a"]}',
  );
  for (const wrong of [
    "",
    "{",
    "[1,]",
    "01",
    "1.",
    "nul",
    '"a',
    '"\\x"',
    "{1: 2}",
    "[1] 2",
    "NaN",
    "\ufeff1",
    '"\n"',
  ]) {
    assert.throws(() => parseJson(wrong), SyntaxError, wrong);
  }
  assert.throws(() => parseJson("[".repeat(100_000)), SyntaxError);
  assert.ok(Number.isNaN(parseJson("NaN", true)));
});

test("zlib's format is read as zlib wrote it, and the other way round", () => {
  const texts = [Buffer.alloc(0), Buffer.from("abcabcabcabc".repeat(50)), randomBytes(70_000), Buffer.alloc(5000)];
  for (const text of texts) {
    for (const level of [0, 1, 6, 9]) {
      assert.deepEqual(Buffer.from(inflate(deflateSync(text, { level }), text.length)), text);
    }
    assert.deepEqual(inflateSync(deflate(text)), text);
  }
  const whole = deflateSync(Buffer.from("some text, some text"));
  assert.throws(() => inflate(whole, 19), SyntaxError);
  assert.throws(() => inflate(whole, 21), SyntaxError);
  for (let at = 0; at < whole.length; at++) {
    const damaged = Uint8Array.from(whole);
    damaged[at] ^= 64;
    assert.throws(() => inflate(damaged, 20), SyntaxError, `byte ${at}`);
    assert.throws(() => inflate(whole.subarray(0, at), 20), SyntaxError, `${at} bytes`);
  }
});

test("base64 and UTF-8 are Node's", () => {
  for (let length = 0; length < 50; length++) {
    const bytes = randomBytes(length);
    assert.equal(toBase64(bytes), bytes.toString("base64"));
    assert.deepEqual(Buffer.from(fromBase64(bytes.toString("base64"))), bytes);
  }
  for (const wrong of ["A", "AB=C", "AB-C", "ü==="]) {
    assert.throws(() => fromBase64(wrong), SyntaxError);
  }
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const odd = ["", "aé€🦊", "\u0000\u007f\u0080\u07ff\u0800\uffff\u{10000}\u{10ffff}", "\ufeffx"];
  for (const text of odd) {
    assert.deepEqual(Buffer.from(utf8(text) ?? []), Buffer.from(text));
    assert.equal(fromUtf8(Buffer.from(text)), text);
  }
  assert.equal(utf8("\ud800"), undefined);
  assert.equal(utf8("a\udc00b"), undefined);
  for (let i = 0; i < 2000; i++) {
    const bytes = Uint8Array.from(randomBytes(4)).map((byte, at) => (at ? byte | 0x80 : byte | 0xc0));
    let expected: string | undefined;
    try {
      expected = decoder.decode(bytes);
    } catch {}
    assert.equal(fromUtf8(bytes), expected, Buffer.from(bytes).toString("hex"));
  }
});

test("messages are one short line", () => {
  assert.equal(oneLine(" a\n\n  b\u001b[31m\u202e "), "a b\\u001b[31m\\u202e");
  assert.equal(oneLine("x".repeat(1000)).length, 399);
  assert.ok(quoted({ deep: ["value".repeat(100)] }).length <= 100);
  assert.equal(quoted(2n ** 70n), "1180591620717411303424");
});
