// Downloads of which all has come but their end, an upload that the platform enters long after its last byte, and a chat
// that is long in coming; a refusal that does not end, and a session that is not known at once.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ChecksumMismatch, LLMPlatformClient, ServerFailed, StreamBroken, TimedOut, UnexpectedAnswer } from "@llm-platform/sdk";

// Two hundred times as fast as elsewhere.
const unhurried = globalThis.setTimeout;
globalThis.setTimeout = (act, milliseconds, ...given) => unhurried(act, milliseconds / 200, ...given);

const WHOLE = "0123456789";
const json = (body, status = 200) => Response.json(body, { status });
const client = (fetch) => new LLMPlatformClient({ baseUrl: "http://platform", apiKey: "a key", fetch });

/** What a download comes to, and what was asked for: it breaks off after its last byte. */
async function downloaded(headers, total) {
  const asked = [];
  const download = client(async (_, init) => {
    asked.push(init.headers.get("range"));
    if (asked.length > 1) return new Response("no more", { status: 416, headers: { "Content-Range": `bytes */${total}` } });
    let isSent = false;
    const pull = (sending) => {
      if (isSent) return sending.error(new Error("lost"));
      isSent = true;
      sending.enqueue(new TextEncoder().encode(WHOLE));
    };
    return new Response(new ReadableStream({ pull }), { headers: { ETag: '"a"', ...headers } });
  }).jobs.downloadArtifact("job_1", "notes.txt");
  return [await (await download.blob()).text(), asked];
}

async function uploaded() {
  const rows = new Blob(["a".repeat(1024 * 1024)]);
  const sha256 = createHash("sha256").update("a".repeat(rows.size)).digest("hex");
  const methods = [];
  let looks = 0;
  const { datasets } = client(async (url, { method }) => {
    if (!url.includes("/uploads")) return json({ dataset_id: "ds_1", sha256 });
    methods.push(method);
    if (method === "POST") return json({ upload_id: "u1", offset: 0, status: "receiving" }, 201);
    if (method === "PATCH") return json({ error: "UNAVAILABLE", message: "The registry is away", metadata: {} }, 503);
    // It is away for longer than other requests are tried again.
    if (++looks < 7) return json({ error: "UNAVAILABLE", message: "The registry is away", metadata: {} }, 503);
    const isEntered = looks > 7;
    return json({ upload_id: "u1", offset: rows.size, status: isEntered ? "entered" : "stored", dataset_id: isEntered ? "ds_1" : null });
  });
  const { datasetId } = await datasets.upload(rows, { filename: "rows.csv", onProgress: () => {} });
  return [datasetId, methods];
}

/** A chat whose every event comes 40 seconds after the one before, cut anywhere. All connections but the last are lost. */
async function chatted(...connections) {
  const keys = new Set();
  const answer = (_, { headers }) => {
    keys.add(headers.get("idempotency-key"));
    const events = connections.shift();
    const bytes = [...new TextEncoder().encode(events.join(""))];
    const size = Math.ceil(bytes.length / events.length);
    const pull = async (sending) => {
      await new Promise((resolve) => setTimeout(resolve, 40_000));
      if (bytes.length) sending.enqueue(Uint8Array.from(bytes.splice(0, size)));
      else if (connections.length) sending.error(new Error("lost"));
      else sending.close();
    };
    return new Response(new ReadableStream({ pull }), { headers: { "Content-Type": "text/event-stream" } });
  };
  const pieces = [];
  for await (const { id } of client(answer).chat.stream({ model: "m", messages: [] })) pieces.push(id);
  assert.equal(keys.size, 1);
  return pieces;
}

/** A refusal whose words do not come. */
const refused = () => client(async () => new Response(new ReadableStream({}), { status: 400 })).models.get("m");

/** The tokens that two calls of a page carry: the first look for whose session it is fails. */
async function signed() {
  globalThis.document = {};
  const [looks, tokens] = [[json({}, 503), json({ csrf_token: "t" })], []];
  const fetch = async (url, { headers }) => {
    if (url.endsWith("/me")) return looks.shift();
    tokens.push(headers.get("x-csrf-token"));
    return json({ job_id: "job_1", status: "paused" });
  };
  const { jobs } = new LLMPlatformClient({ baseUrl: "http://platform", apiKey: "", fetch });
  await jobs.pause("job_1");
  await jobs.pause("job_1");
  return tokens;
}

const [HERE, PIECE, DONE] = [": still here\n\n", 'data: {"id": "a"}\n\n', "data: [DONE]\n\n"];
const cases = {
  waiting: async () => assert.deepEqual(await chatted([HERE, HERE, PIECE, HERE, DONE]), ["a"]),
  "waiting again": async () => assert.deepEqual(await chatted([HERE], [HERE, PIECE, DONE]), ["a"]),
  "no more waiting": () => assert.rejects(chatted([HERE, PIECE], [PIECE, DONE]), StreamBroken),
  "waiting in vain": () => assert.rejects(chatted([HERE, 'data: {"error": {"message": "no"}}\n\n']), ServerFailed),
  "no words of the platform's": () => assert.rejects(chatted([HERE, "data: oops\n\n"]), UnexpectedAnswer),
  "known to be whole": async () => assert.deepEqual(await downloaded({ "Content-Length": "10" }, 10), [WHOLE, [null]]),
  "told to be whole": async () => assert.deepEqual(await downloaded({}, 10), [WHOLE, [null, "bytes=10-"]]),
  shorter: () => assert.rejects(downloaded({}, 7), StreamBroken),
  changed: () => assert.rejects(downloaded({ "Content-Length": "10", "Repr-Digest": "sha-256=:AAAA:" }, 10), ChecksumMismatch),
  "refused without a word": () => assert.rejects(refused(), TimedOut),
  "a session found later": async () => assert.deepEqual(await signed(), [null, "t"]),
  "entered late": async () => assert.deepEqual(await uploaded(), ["ds_1", ["POST", "PATCH", ...Array(8).fill("GET")]]),
};
const failed = (await Promise.all(Object.entries(cases).map(([name, run]) => run().then(() => [], (error) => [name, error])))).flat();
assert.deepEqual(failed, []);
