/** A log as it comes: handlers as an `EventSource` has them, or `for await`. */

import type { ServerSent } from "./serverSent.js";

/** An event as an `EventSource` tells it. */
export interface StreamMessage {
  type: string;
  data: string;
  lastEventId: string;
}

type Listener<E> = ((event: E) => void) | null;

/**
 * Begins once somebody listens for messages, or when it is iterated. It comes back by itself where it was; at the log's
 * end it tells `end` and is closed.
 */
export class LogStream<T> implements AsyncIterable<T> {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;

  /** The stream cannot go on. */
  onerror: Listener<unknown> = null;
  onend: Listener<undefined> = null;
  readyState: 0 | 1 | 2 = LogStream.CONNECTING;

  readonly #source: (signal: AbortSignal) => AsyncGenerator<ServerSent>;
  readonly #read: (data: string) => T;
  readonly #listeners = new Map<string, Set<(event: never) => void>>();
  readonly #stop = new AbortController();
  #onmessage: Listener<StreamMessage> = null;
  #isTaken = false;

  constructor(source: (signal: AbortSignal) => AsyncGenerator<ServerSent>, read: (data: string) => T) {
    this.#source = source;
    this.#read = read;
  }

  get onmessage(): Listener<StreamMessage> {
    return this.#onmessage;
  }

  set onmessage(listener: Listener<StreamMessage>) {
    this.#onmessage = listener;
    this.#begin();
  }

  addEventListener(type: "message", listener: (event: StreamMessage) => void): void;
  addEventListener(type: "error", listener: (error: unknown) => void): void;
  addEventListener(type: "end", listener: () => void): void;
  addEventListener(type: string, listener: (event: never) => void): void {
    const set = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, set.add(listener));
    if (type === "message") this.#begin();
  }

  removeEventListener(type: "message" | "error" | "end", listener: (event: never) => void): void {
    this.#listeners.get(type)?.delete(listener);
  }

  close(): void {
    this.readyState = LogStream.CLOSED;
    this.#stop.abort();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const event of this.#events()) yield this.#read(event.data);
  }

  async *#events(): AsyncGenerator<ServerSent> {
    if (this.#isTaken) throw new TypeError("This stream is being read already");
    this.#isTaken = true;
    try {
      for await (const event of this.#source(this.#stop.signal)) {
        if (this.#stop.signal.aborted) return;
        this.readyState = LogStream.OPEN;
        yield event;
      }
    } finally {
      this.close();
    }
  }

  /** In a moment, once the other handlers are set. */
  #begin(): void {
    setTimeout(() => void this.#tell(), 0);
  }

  async #tell(): Promise<void> {
    if (this.#isTaken || this.#stop.signal.aborted) return;
    try {
      for await (const { event, data, id } of this.#events()) {
        this.#emit("message", this.onmessage, { type: event, data, lastEventId: id ?? "" });
      }
      this.#emit("end", this.onend, undefined);
    } catch (error) {
      // What nobody listens for must not pass in silence.
      if (!this.onerror && !this.#listeners.get("error")?.size) throw error;
      this.#emit("error", this.onerror, error);
    }
  }

  #emit<E>(type: string, handler: Listener<E>, event: E): void {
    handler?.call(this, event);
    for (const listener of this.#listeners.get(type) ?? []) (listener as (event: E) => void)(event);
  }
}
