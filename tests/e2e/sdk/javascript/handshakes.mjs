// WebSockets that do not open: by a signal, in time, or refused. Nothing is left open.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { ConnectionFailed, LLMPlatformClient, ServerFailed, TimedOut } from "@llm-platform/sdk";

const OPENED = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

const server = createServer((_, response) => response.end('{"ticket": "t"}')).listen(0, "127.0.0.1");
await once(server, "listening");
const baseUrl = `http://127.0.0.1:${server.address().port}`;

/** Watches events until that ends; `answer` is given the connection that asks for them. */
async function watched(options, answer, signal) {
  const client = new LLMPlatformClient({ baseUrl, apiKey: "a key", ...options });
  const isClosed = once(server, "upgrade").then(([, socket]) => {
    socket.on("end", () => socket.end()).on("error", () => {}).resume();
    const closed = new Promise((resolve) => socket.on("close", resolve));
    answer(socket);
    return closed;
  });
  try {
    for await (const _ of client.events.watch({ signal })) assert.fail("nothing was told");
  } finally {
    await isClosed;
  }
}

const silent = () => {};
const [given, late] = [new AbortController(), new AbortController()];
await watched({}, () => given.abort(), given.signal);
await watched({}, (socket) => { late.abort(); socket.write(OPENED); }, late.signal);
await assert.rejects(watched({ timeout: 0.1, maxRetries: 0 }, silent), TimedOut);
await assert.rejects(
  watched({ maxRetries: 0 }, (socket) => socket.end("HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n")),
  (error) => error instanceof ServerFailed || error instanceof ConnectionFailed,
);
server.closeAllConnections();
server.close();
