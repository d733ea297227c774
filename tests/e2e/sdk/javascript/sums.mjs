// The SHA-256 of our own beside Node's, and the files in `made.tar`, which comes in pieces of any size, by `sums.json`.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { ChecksumMismatch } from "@llm-platform/sdk";
import { Sha256 } from "./node_modules/@llm-platform/sdk/dist/sha256.js";
import { TarSums } from "./node_modules/@llm-platform/sdk/dist/transfers.js";

const sumOf = (data) => createHash("sha256").update(data).digest("hex");

function feed(taker, data, most) {
  for (let place = 0; place < data.length; ) {
    const size = 1 + Math.floor(Math.random() * most);
    taker.update(data.subarray(place, place + size));
    place += size;
  }
  return taker;
}

for (const size of [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 100_003]) {
  const data = randomBytes(size);
  assert.equal(feed(new Sha256(), data, 200).hex(), sumOf(data), `${size} bytes`);
}

const tar = readFileSync("made.tar");
const sums = JSON.parse(readFileSync("sums.json", "utf8"));
feed(new TarSums(sums), tar, 700).end();
feed(new TarSums(sums), tar, 7).end();
assert.throws(() => feed(new TarSums({ ...sums, more: sumOf("") }), tar, 700).end(), ChecksumMismatch);
const changed = Buffer.from(tar);
changed[tar.indexOf("the weights")]++;
assert.throws(() => feed(new TarSums(sums), changed, 700).end(), /weights.bin/);
