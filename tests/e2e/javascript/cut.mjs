// Streams over a way that is cut. Arguments: what to try, and of what. Writes what was heard, one a line, as JSON.
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
  let size = 0;
  for await (const bytes of client.models.download(id)) size += bytes.length;
  write(size);
} else {
  try {
    const messages = [{ role: "user", content: "Hello" }];
    for await (const chunk of client.chat.stream({ model: "simulated-small", messages, maxTokens: 60 })) write(chunk.id);
  } catch (error) {
    write(error instanceof StreamBroken ? "broken" : String(error));
  }
}
