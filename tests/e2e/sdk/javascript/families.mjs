// Every family of the client against a running platform: its address and an instance's port are the arguments.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { Conflict, InvalidRequest, LLMPlatformClient, NotFound, TimedOut, Unauthenticated } from "@llm-platform/sdk";

const [baseUrl, port] = [process.argv[2], Number(process.argv[3])];
const client = new LLMPlatformClient({ baseUrl });
const all = async (items) => { const found = []; for await (const item of items) found.push(item); return found; };
const hello = [{ role: "user", content: "Hello" }];
const unique = crypto.randomUUID().slice(0, 8);

// Prompts and actions.
const prompt = await client.prompts.create({ name: `Headline ${unique}`, content: "About {the_topic}." });
assert.deepEqual(prompt.variables, ["the_topic"]);
const action = await client.actions.create({ fieldName: "headline", promptTemplateId: prompt.id, llmModel: "simulated-small", maxTokens: 8 });
const run = await client.actions.execute(action.id, { the_topic: "castles" });
assert.deepEqual(run.inputData, { the_topic: "castles" }, "what is data stays as it is");
assert.ok(run.outputData.headline);
assert.equal((await all(client.actions.runs(action.id))).length, 1);
await assert.rejects(client.actions.execute(action.id, {}), InvalidRequest);
assert.ok((await client.actions.list()).some(({ id }) => id === action.id));
const tried = await all(client.prompts.testStream({ prompt: "Sum up:", input: "A fox", modelName: "simulated-small", maxTokens: 5 }));
assert.equal(tried.slice(0, -1).map(({ content }) => content).join(""), tried.at(-1).result);
await client.actions.delete(action.id);
await assert.rejects(client.actions.get(action.id), (error) => error instanceof NotFound && error.code === "not_found" && !!error.requestId);

// Posts and content.
const post = await client.posts.create({ title: "Castles" });
const section = await client.posts.createSection(post.id, { title: "One", content: "It stands." });
assert.ok((await client.content.generateIdea({ topic: "castles" })).title);
assert.deepEqual(Object.keys(await client.content.generateSocial(section.id, { platforms: ["my_platform"] })), ["my_platform"]);

// Configuration, engines, instances.
assert.ok((await client.config.get()).providerType);
assert.ok((await all(client.engines.list())).length);
assert.ok((await client.instances.test(port)).connected);
await assert.rejects(client.instances.get(4999), NotFound);

// Workflows, runs, events.
const block = await client.blocks.create({ title: "Block", content: "Name a {a_thing}.", folderPath: unique });
assert.deepEqual(await client.blocks.list({ folder: unique }), [block]);
const payload = await client.payloads.create({ name: "Only", llmPort: port, responseLength: 20, blocks: [block.id] });
const workflow = await client.workflows.create({ name: unique, payloads: [payload.id] });
const { runId } = await client.workflows.execute(workflow.id, { a_thing: "river" });
const followed = await all(client.runs.follow(runId));
assert.equal(followed.at(-1).type, "workflow_completed");
const heard = [];
for await (const event of client.events.watch({ runId, after: 0 })) {
  heard.push(event);
  if (event.type.startsWith("workflow_")) break;
}
assert.deepEqual(heard, followed, "the WebSocket tells the same");
assert.equal((await client.runs.wait(runId)).responses.length, 1);
assert.equal((await client.runs.status(runId)).status, "completed");
assert.deepEqual((await client.runs.get(runId)).inputs, { a_thing: "river" });
await assert.rejects(client.runs.resume(runId), Conflict);
assert.ok((await client.workflows.importDocument(await client.workflows.export(workflow.id))).id);

// Tasks.
assert.equal((await client.tasks.create({ prompt: "What is a llama?" })).status, "Completed");
const { taskId } = await client.tasks.create({ prompt: "1. Name three engines.\n2. Compare their speed.\n3. Recommend one." });
assert.equal((await client.tasks.wait(taskId, { every: 0.1 })).status, "Completed");
assert.ok((await all(client.roles.list())).length);
await assert.rejects(client.tasks.get("nobody"), NotFound);

// Completions.
const answer = await client.chat.create({ model: "simulated-small", messages: hello, maxTokens: 6 });
const chunks = await all(client.chat.stream({ model: "simulated-small", messages: hello, maxTokens: 6 }));
const text = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? "")).join("");
assert.equal(text, answer.choices[0].message.content);
const events = await all(client.chat.respondStream({ model: "simulated-small", input: "Hello", maxOutputTokens: 32 }));
assert.match(events.at(-1).type, /^response\.(completed|incomplete)$/);
await assert.rejects(client.chat.create({ model: "gpt-9", messages: hello }), (error) => error.code === "model_not_found");

// Data sets, jobs, models, logs.
const rows = new Blob(["my_column,other\n1,2\n3,4\n"]);
const dataset = await client.datasets.upload(rows, { filename: `${unique}.csv` });
assert.deepEqual((await client.datasets.preview(dataset.datasetId, { limit: 1 })).samples.map(Object.keys), [["my_column", "other"]]);
await assert.rejects(client.datasets.upload(new Blob(["x"]), { filename: "x.json" }), (error) => error.code === "DATASET_ERROR");
const validated = await client.jobs.create({ template: "validate", datasetId: dataset.datasetId });
assert.equal((await client.jobs.wait(validated.jobId, { every: 0.2 })).status, "completed");
const lines = await all(client.logs.history(validated.runId));
assert.deepEqual(await all(client.logs.history(validated.runId, { limit: 2, order: "desc" })), lines.slice(-2).reverse());
const [artifact] = await all(client.jobs.artifacts(validated.jobId));
const through = [];
const onProgress = (done, total) => through.push([done, total]);
const fetched = await client.jobs.downloadArtifact(validated.jobId, artifact.name, { onProgress }).blob();
assert.deepEqual([fetched.size, through.at(-1)], [artifact.sizeBytes, [artifact.sizeBytes, artifact.sizeBytes]]);
assert.equal((await client.jobs.delete(validated.jobId)).status, "deleted");
for (const gone of [validated.jobId, "job_nobody"]) await assert.rejects(client.jobs.get(gone), NotFound);
await assert.rejects(client.models.get("nobody"), NotFound);
await assert.rejects(client.models.lossCurve("nobody"), NotFound);
await assert.rejects(client.models.download("nobody").blob(), NotFound);

// A job is steered over the connection on which it is watched, and without one.
const config = { datasetId: dataset.datasetId };
const nodes = Array.from({ length: 150 }, (_, n) => ({ agentName: `dataset-${n}`, agentClass: "DatasetAgent", config }));
const edges = nodes.slice(1).map(({ agentName }, n) => ({ fromAgent: nodes[n].agentName, toAgent: agentName }));
const steered = await client.jobs.create({ pipelineConfig: { nodes, edges, globalConfig: { useCache: false } } });
const watched = client.jobs.watch(steered.jobId);
const told = [];
for await (const message of watched) {
  told.push(message);
  if (told.length > 1) continue;
  assert.deepEqual(await watched.pause(), { jobId: steered.jobId, status: "paused" });
  await assert.rejects(client.jobs.wait(steered.jobId, { timeout: 0 }), TimedOut);
  await assert.rejects(watched.adjust({ learningRate: 2 }), (error) => error instanceof InvalidRequest && /rate/.test(error.message));
  assert.equal((await watched.resume()).jobId, steered.jobId);
  assert.deepEqual(await watched.cancel(), { jobId: steered.jobId, status: "cancelled" });
}
assert.deepEqual(told.filter(({ type }) => type === "steering").map(({ data }) => data.steering.action), ["pause", "resume", "cancel"]);
assert.deepEqual(told.at(-1), { type: "end", data: { runId: steered.runId, status: "cancelled" } });
assert.ok(told[0].data.progress.totalAgents === 150, "names are JavaScript's");
await assert.rejects(watched.pause(), Conflict);
await assert.rejects(all(client.logs.stream("nobody")), NotFound);

// Keys, users, usage, the platform.
const key = await client.keys.create({ name: unique, role: "viewer", budget: { usd: 1, period: "day" } });
const viewer = new LLMPlatformClient({ baseUrl, apiKey: key.key });
assert.equal((await viewer.platform.me()).role, "viewer");
await assert.rejects(new LLMPlatformClient({ baseUrl, apiKey: "llmp_nobody" }).blocks.list(), Unauthenticated);
await client.keys.revoke(key.keyId);
assert.ok((await all(client.usage.rows({ groupBy: "model" })))[0].requests > 0);
assert.ok((await all(client.usage.interactions({ limit: 3 }))).length);
assert.equal((await client.platform.health()).status, "healthy");
assert.throws(() => client.jobs.get(undefined), /id/);

// Calls that are given up, and calls that nobody answers.
const leave = new AbortController();
const leaving = client.withOptions({ signal: leave.signal });
const pieces = [];
await assert.rejects(async () => {
  for await (const chunk of leaving.chat.stream({ model: "simulated-small", messages: hello, maxTokens: 500 })) {
    pieces.push(chunk);
    if (pieces.length === 3) leave.abort();
  }
}, { name: "AbortError" });
assert.equal(pieces.length, 3);
await assert.rejects(leaving.blocks.list(), { name: "AbortError" });
const stop = new AbortController();
setTimeout(() => stop.abort(), 50);
const watching = client.events.watch({ runId, after: followed.at(-1).id, signal: stop.signal });
assert.deepEqual(await all(watching), [], "what is watched ends");
const silent = createServer(() => undefined).listen(0, "127.0.0.1");
await once(silent, "listening");
const nowhere = { baseUrl: `http://127.0.0.1:${silent.address().port}`, timeout: 0.1, maxRetries: 0 };
await assert.rejects(new LLMPlatformClient(nowhere).blocks.list(), TimedOut);
silent.close();
silent.closeAllConnections();
await assert.rejects(new LLMPlatformClient(nowhere).blocks.list(), (error) => /ECONNREFUSED/.test(error.message));
