/** WebSockets that come back where they broke off, in browsers (with a ticket) and in Node (with the key). */

import { ConnectionFailed, EventsLost, refused, Unauthenticated } from "./errors.js";
import { passes, patience } from "./following.js";
import { pause, unique, within, type Http } from "./http.js";

/** How the other side closed it. */
export interface Closed {
  code: number;
  reason: string;
}

export interface Told {
  id?: number;
  type: string;
}

/** The platform's answer to a command. */
interface Acknowledged extends Told {
  request_id: string;
  ok: boolean;
  data?: unknown;
}

const UNKNOWN = 4401;
const FORGOTTEN = 4410;

export interface Watching {
  query?: Readonly<Record<string, string>>;
  after?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Told the connection that is open, and null once there is none. */
  onLine?: (line: Line | null) => void;
}

/** Each message once and in order, to one of the type `end`, if any. Without `after`, those from now on. */
export async function* watch<T extends Told>(
  http: Http,
  path: string,
  { query = {}, after, signal, onLine }: Watching = {},
): AsyncGenerator<T> {
  const ending = http.ending(signal);
  let last = after;
  for (let lost = 0; !ending?.aborted; lost++) {
    let line: Line | null = null;
    const leave = () => line?.close();
    try {
      line = await dial(http, path, last === undefined ? query : { ...query, last_event_id: String(last) }, ending);
      if (ending?.aborted) return;
      ending?.addEventListener("abort", leave);
      onLine?.(line);
      for (;;) {
        const heard = await line.next();
        if (ending?.aborted) return;
        if (!("type" in heard)) throw reason(heard.code, heard.reason);
        last = heard.id ?? last;
        lost = 0;
        yield heard as T;
        if (heard.type === "end") return;
      }
    } catch (error) {
      if (ending?.aborted) return;
      if (!passes(error) || lost >= patience(http)) throw error;
    } finally {
      ending?.removeEventListener("abort", leave);
      onLine?.(null);
      leave();
    }
    await pause(lost, null, ending).catch(() => undefined);
  }
}

function reason(code: number, text: string): Error {
  if (code === FORGOTTEN) return new EventsLost(text);
  if (code === UNKNOWN) return new Unauthenticated(401, "UNAUTHORIZED", text);
  return new ConnectionFailed(`The connection was closed: ${code} ${text}`.trim());
}

/** Leaves nothing open where it is ended, or where nobody answers in time. */
async function dial(http: Http, path: string, query: Readonly<Record<string, string>>, ending?: AbortSignal): Promise<Line> {
  const late = new AbortController();
  const signal = ending ? AbortSignal.any([ending, late.signal]) : late.signal;
  try {
    if (typeof WebSocket === "undefined") {
      const { dialInNode } = await import("./nodeSocket.js");
      return await within(http.timeout, dialInNode(`${http.root}${path}?${new URLSearchParams(query)}`, http.authorization, signal));
    }
    // A browser's WebSocket sends no headers.
    const { ticket } = await http.json<{ ticket: string }>("POST", "/api/v1/tickets", "IssuedTicket", { signal });
    const url = `${http.root.replace(/^http/, "ws")}${path}?${new URLSearchParams({ ...query, ticket })}`;
    return await within(http.timeout, dialInBrowser(url, signal));
  } catch (error) {
    late.abort();
    throw error;
  }
}

function dialInBrowser(url: string, signal: AbortSignal): Promise<Line> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const line = new Line(
      () => socket.close(),
      (text) => socket.send(text),
    );
    const fail = () => reject(new ConnectionFailed("The WebSocket cannot be opened"));
    const leave = () => {
      line.close();
      fail();
    };
    signal.addEventListener("abort", leave);
    socket.onopen = () => {
      signal.removeEventListener("abort", leave);
      resolve(line);
    };
    socket.onmessage = (event: MessageEvent<string>) => line.put(event.data);
    socket.onerror = fail;
    socket.onclose = ({ code, reason: text }) => {
      line.end({ code, reason: text });
      fail();
    };
  });
}

interface Asked {
  resolve(data: unknown): void;
  reject(error: Error): void;
}

/** An open connection: what has come and was not asked for yet, and what was said and is not answered yet. */
export class Line {
  readonly #waiting: (Told | Closed)[] = [];
  readonly #asked = new Map<string, Asked>();
  #taker: ((heard: Told | Closed) => void) | null = null;
  #isOpen = true;

  constructor(
    readonly shut: () => void,
    readonly say: (text: string) => void,
  ) {}

  close(): void {
    this.end({ code: 1000, reason: "" });
    this.shut();
  }

  /** What came next; how it was closed, at last. */
  next(): Promise<Told | Closed> {
    const heard = this.#waiting.shift();
    return heard === undefined ? new Promise((resolve) => (this.#taker = resolve)) : Promise.resolve(heard);
  }

  /** What is answered to a command. Throws `ApiError`, and `ConnectionFailed` where the connection is lost before. */
  ask(command: object): Promise<unknown> {
    const name = unique();
    return new Promise((resolve, reject) => {
      if (!this.#isOpen) return reject(unanswered());
      this.#asked.set(name, { resolve, reject });
      this.say(JSON.stringify({ ...command, request_id: name }));
    });
  }

  put(text: string): void {
    const told = JSON.parse(text) as Told;
    if (told.type === "ack") this.#settle(told as Acknowledged);
    else this.#hand(told);
  }

  end(closed: Closed): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const { reject } of this.#asked.values()) reject(unanswered());
    this.#asked.clear();
    this.#hand(closed);
  }

  #settle(ack: Acknowledged): void {
    const asked = this.#asked.get(ack.request_id);
    this.#asked.delete(ack.request_id);
    if (ack.ok) asked?.resolve(ack.data);
    else asked?.reject(refused(ack));
  }

  #hand(heard: Told | Closed): void {
    if (!this.#taker) this.#waiting.push(heard);
    else this.#taker(heard);
    this.#taker = null;
  }
}

function unanswered(): ConnectionFailed {
  return new ConnectionFailed("The connection was lost before an answer: look at the job for what became of it");
}
