// Streams over a way that is cut. Arguments: what to try, and of what. Writes what was heard, one a line, as JSON.
import { writeFile } from "node:fs/promises";
import { LLMPlatformClient, StreamBroken } from "@llm-platform/sdk";

const [baseUrl, what, id] = process.argv.slice(2);
const client = new LLMPlatformClient({ baseUrl });
const write = (told) => console.log(JSON.stringify(told));

if (what === "logs") {
  for await (const { message } of client.logs.stream(id)) write(message);
} else if (what === "events") {
  for await (const event of client.events.watch({ runId: Number(id), after: 0 })) {
    write(event.id);
    if (event.type.startsWith("workflow_")) break;
  }
} else if (what === "download") {
  const through = [];
  const onProgress = (done, total) => through.push([done, total]);
  await writeFile("download.tar", client.models.download(id, { onProgress }));
  write(through.at(-1));
} else if (what === "upload") {
  const through = [];
  const onProgress = id === "watched" ? (done) => through.push(done) : undefined;
  const rows = new Blob(["question,answer\n", "what,that\n".repeat(400_000)]);
  const { rows: count } = await client.datasets.upload(rows, { filename: `${id}.csv`, onProgress });
  write([count, through.every((done, index) => done > (through[index - 1] ?? 0)), through.at(-1) ?? null]);
} else {
  try {
    const messages = [{ role: "user", content: "Hello" }];
    for await (const chunk of client.chat.stream({ model: "simulated-small", messages, maxTokens: 60 })) write(chunk.id);
  } catch (error) {
    write(error instanceof StreamBroken ? "broken" : String(error));
  }
}
