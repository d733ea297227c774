// What a strict project sees of the types.
import { ApiError, LLMPlatformClient, QuotaExhausted, type Answers, type JobMessage, type Requests } from "@llm-platform/sdk";

const client = new LLMPlatformClient({ baseUrl: "http://localhost:8000/api/v1", timeout: 5 }).withOptions({ maxRetries: 1 });

export async function submitted(file: File): Promise<string> {
  const dataset: Answers.Dataset = await client.datasets.upload(file, { onProgress: (done, total) => console.log(done, total) });
  const body: Requests.SubmitJob = { template: "validate", datasetId: dataset.datasetId };
  const job = await client.jobs.create(body);
  client.logs.stream(job.runId).onmessage = (event) => console.log(event.data.length, event.lastEventId);
  for await (const log of client.logs.stream(job.runId)) console.log(log.level, log.evalLoss?.toFixed(3));
  return job.jobId;
}

export function told(message: JobMessage): string {
  switch (message.type) {
    case "progress":
      return message.data.progress.completedAgents.join();
    case "end":
      return message.data.status;
    default:
      return `${message.id} ${message.data.message}`;
  }
}

export async function steered(jobId: string): Promise<number> {
  const watching = client.jobs.watch(jobId, { after: 3 });
  for await (const message of watching) if (message.type === "metric" && message.data.loss! > 9) await watching.cancel();
  return (await watching.adjust({ learningRate: 0.001 })).number;
}

export async function asked(): Promise<string | undefined> {
  try {
    for await (const chunk of client.chat.stream({ model: "default", messages: [{ role: "user", content: "Hello" }] })) {
      console.log(chunk.choices[0]?.delta.content);
    }
    return await (await client.models.download("m", { format: "gguf", quantization: "Q8_0" }).blob()).text();
  } catch (error) {
    if (error instanceof QuotaExhausted) return error.requestId ?? undefined;
    return error instanceof ApiError ? error.code : undefined;
  }
}

// @ts-expect-error: there is no such option
void client.jobs.list({ statu: "running" });
// @ts-expect-error: a data set has no such field
export const wrong = async () => (await client.datasets.get("ds")).dataset_id;
