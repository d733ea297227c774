/** Streams that are taken up again where they broke off, and those that cannot be. */

import { ConnectionFailed, RateLimited, ServerFailed, StreamBroken, told } from "./errors.js";
import { parsed, pause, unique, type Asked, type Http } from "./http.js";
import { fromWire } from "./naming.js";
import { EventReader, type ServerSent } from "./serverSent.js";

const LEAST = 10;
/** Seconds after which a stream counts as lost: the platform fills its silences with comments far sooner. */
const SILENCE = 60;

/** Attempts in a row to come back: a platform that restarts takes some seconds. Who wants no retries gets none. */
export function patience(http: Http): number {
  return http.maxRetries && Math.max(http.maxRetries, LEAST);
}

/** Whether it is worth coming back after that. */
export function passes(error: unknown): boolean {
  return error instanceof ConnectionFailed || error instanceof ServerFailed || error instanceof RateLimited;
}

/** Each event once and in order, to the one that says `end` or to the signal's, over any number of connections. */
export async function* follow(http: Http, path: string, asked: Asked & { after?: string | number | undefined } = {}): AsyncGenerator<ServerSent> {
  const ending = http.ending(asked.signal);
  let last = asked.after === undefined ? null : String(asked.after);
  for (let lost = 0; ; lost++) {
    try {
      const headers = { Accept: "text/event-stream", ...(last === null ? {} : { "Last-Event-ID": last }) };
      const response = await http.send("GET", path, { ...asked, headers });
      const reader = new EventReader();
      for await (const bytes of http.bytes(response, { silence: SILENCE, signal: ending })) {
        for (const event of reader.feed(bytes)) {
          if (event.event === "end") return;
          last = event.id ?? last;
          lost = 0;
          yield event;
          if (ending?.aborted) return;
        }
      }
      if (lost >= patience(http)) throw new ConnectionFailed("The stream ends again and again before its end");
    } catch (error) {
      if (ending?.aborted) return;
      if (!passes(error) || lost >= patience(http)) throw error;
    }
    await pause(lost, null, ending).catch(() => undefined);
    if (ending?.aborted) return;
  }
}

/** An answer that is told while it is made: it can begin again only before its first event. Throws `StreamBroken`. */
export async function* answer<T>(
  http: Http,
  path: string,
  body: unknown,
  kind: string,
  into: string,
  isLast: (item: T) => boolean = () => false,
): AsyncGenerator<T> {
  const headers = { Accept: "text/event-stream", "Idempotency-Key": unique() };
  let hasBegun = false;
  for (let lost = 0; ; lost++) {
    const response = await http.send("POST", path, { body, kind, once: true, headers });
    const reader = new EventReader();
    let isWhole = false;
    try {
      for await (const bytes of http.bytes(response, { silence: SILENCE })) {
        for (const { event, data } of reader.feed(bytes)) {
          hasBegun = true;
          if (data === "[DONE]") {
            isWhole = true;
            continue;
          }
          const read = parsed(data);
          refuseErrors(event, read);
          const item = fromWire<T>(read, into);
          isWhole ||= isLast(item);
          yield item;
          http.signal?.throwIfAborted();
        }
      }
    } catch (error) {
      if (!(error instanceof ConnectionFailed)) throw error;
    }
    if (isWhole) return;
    if (hasBegun || lost >= http.maxRetries) {
      throw new StreamBroken("The answer broke off before its end. It cannot be taken up again: ask anew.");
    }
    // It was waited for, and nothing but comments had come.
    await pause(lost, null, http.signal);
  }
}

function refuseErrors(event: string, body: unknown): void {
  const { error, status } = (body ?? {}) as { error?: unknown; status?: unknown };
  if ((event === "message" || event === "error") && error && (status === "error" || typeof error === "object")) throw told(body);
}
