import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { Sha256, sha256 } from "../src/bundle/sha256.js";

test("hashes of messages of all lengths around a block are OpenSSL's", () => {
  for (const length of [0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 100_000]) {
    const message = randomBytes(length);
    assert.equal(sha256(message), createHash("sha256").update(message).digest("hex"), `${length} bytes`);
  }
});

test("a message in pieces has the hash of the whole", () => {
  const message = randomBytes(1000);
  for (const size of [1, 7, 63, 64, 65, 130, 999]) {
    const hash = new Sha256();
    for (let at = 0; at < message.length; at += size) {
      hash.update(message.subarray(at, at + size));
    }
    assert.equal(hash.hex(), createHash("sha256").update(message).digest("hex"), `pieces of ${size}`);
  }
});
