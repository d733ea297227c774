// A data set is uploaded and checked, its log followed live, and a model asked. Needs a running platform and its key:
//
//     LLM_PLATFORM_URL=http://localhost:8000 LLM_PLATFORM_API_KEY=$(cat .platform/admin.key) node tour.mjs

import { ApiError, LLMPlatformClient } from "@llm-platform/sdk";

const client = new LLMPlatformClient();
const rows = "question,answer\nWhat is a llama?,A camelid.\nWhere does it live?,In the Andes.\n";

const dataset = await client.datasets.upload(new File([rows], "llamas.csv"));
console.log(`${dataset.datasetId} has ${dataset.rows} rows: ${dataset.columns.join(", ")}`);

const job = await client.jobs.create({ template: "validate", datasetId: dataset.datasetId });
for await (const log of client.logs.stream(job.runId)) console.log(`[${log.level}] ${log.message}`);
console.log(`${job.jobId} is ${(await client.jobs.wait(job.jobId)).status}`);

const messages = [{ role: "user", content: "What is a llama?" }];
for await (const chunk of client.chat.stream({ model: "default", messages, maxTokens: 16 })) {
  process.stdout.write(chunk.choices.map(({ delta }) => delta.content ?? "").join(""));
}
console.log();

try {
  await client.models.get("nobody");
} catch (error) {
  if (!(error instanceof ApiError)) throw error;
  console.log(`${error.status} ${error.code}: ${error.message}`);
}
