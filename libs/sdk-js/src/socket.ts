/** WebSockets that come back where they broke off, in browsers (with a ticket) and in Node (with the key). */

import { ConnectionFailed, EventsLost, Unauthenticated } from "./errors.js";
import { passes, patience } from "./following.js";
import { pause, type Http } from "./http.js";

/** What is heard: messages, and at last how it was closed. */
export interface Heard {
  next(): Promise<string | { code: number; reason: string }>;
  close(): void;
}

const UNKNOWN = 4401;
const FORGOTTEN = 4410;

export interface Told {
  id?: number;
  type: string;
}

/** Each message once and in order, to one of the type `end`, if any. Without `after`, those from now on. */
export async function* watch<T extends Told>(
  http: Http,
  path: string,
  query: Readonly<Record<string, string>>,
  after?: number,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  let last = after;
  for (let lost = 0; !signal?.aborted; lost++) {
    let socket: Heard | null = null;
    const leave = () => socket?.close();
    try {
      socket = await dial(http, path, last === undefined ? query : { ...query, last_event_id: String(last) });
      signal?.addEventListener("abort", leave);
      for (;;) {
        const heard = await socket.next();
        if (signal?.aborted) return;
        if (typeof heard !== "string") throw reason(heard.code, heard.reason);
        const message = JSON.parse(heard) as T;
        last = message.id ?? last;
        lost = 0;
        yield message;
        if (message.type === "end") return;
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (!passes(error) || lost >= patience(http)) throw error;
    } finally {
      signal?.removeEventListener("abort", leave);
      leave();
    }
    await pause(lost, null);
  }
}

function reason(code: number, text: string): Error {
  if (code === FORGOTTEN) return new EventsLost(text);
  if (code === UNKNOWN) return new Unauthenticated(401, "UNAUTHORIZED", text);
  return new ConnectionFailed(`The connection was closed: ${code} ${text}`.trim());
}

async function dial(http: Http, path: string, query: Readonly<Record<string, string>>): Promise<Heard> {
  if (typeof WebSocket === "undefined") {
    const { dialInNode } = await import("./nodeSocket.js");
    return dialInNode(`${http.root}${path}?${new URLSearchParams(query)}`, http.authorization);
  }
  // A browser's WebSocket sends no headers.
  const { ticket } = await http.post<{ ticket: string }>("/api/v1/tickets", "IssuedTicket");
  const url = `${http.root.replace(/^http/, "ws")}${path}?${new URLSearchParams({ ...query, ticket })}`;
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const heard = new Mailbox(() => socket.close());
    socket.onopen = () => resolve(heard);
    socket.onmessage = (event: MessageEvent<string>) => heard.put(event.data);
    socket.onclose = ({ code, reason: text }) => {
      heard.put({ code, reason: text });
      reject(new ConnectionFailed("The WebSocket cannot be opened"));
    };
  });
}

/** What has come and was not asked for yet. */
export class Mailbox implements Heard {
  readonly #waiting: (string | { code: number; reason: string })[] = [];
  #ask: ((heard: string | { code: number; reason: string }) => void) | null = null;

  constructor(readonly close: () => void) {}

  put(heard: string | { code: number; reason: string }): void {
    if (this.#ask) {
      this.#ask(heard);
      this.#ask = null;
    } else this.#waiting.push(heard);
  }

  next(): Promise<string | { code: number; reason: string }> {
    const heard = this.#waiting.shift();
    if (heard !== undefined) return Promise.resolve(heard);
    return new Promise((resolve) => {
      this.#ask = resolve;
    });
  }
}

