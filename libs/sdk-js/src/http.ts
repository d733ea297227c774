/** Requests: who asks, what is sent again, and how an answer that breaks off is told from one that ends. */

import { ApiError, ConnectionFailed, Forbidden, refusal, retryAfter, TimedOut, UnexpectedAnswer } from "./errors.js";
import { fromWire, toWire } from "./naming.js";

export interface Options {
  /** The platform's address, with or without a document's base (`/api/v1`). In a browser: the page's own, if not given. */
  baseUrl?: string;
  /** In Node: `LLM_PLATFORM_API_KEY`, if not given. A browser without one uses the session of whoever is logged in. */
  apiKey?: string;
  /** More attempts after the first; 3 if not given. */
  maxRetries?: number;
  /** Seconds to wait for an answer to begin, and for more of it; 120 if not given. */
  timeout?: number;
  /** Ends every call: requests throw its reason, what is watched ends. */
  signal?: AbortSignal;
  fetch?: typeof fetch;
}

export type Query = object;

export interface Asked {
  query?: Query | undefined;
  body?: unknown;
  /** The shape of the body. */
  kind?: string;
  headers?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
  /** The platform does it once, however often it comes under one idempotency key. */
  once?: boolean | undefined;
  /** A status that is an answer though it refuses. */
  also?: number;
  /** More attempts after the first; the client's number, if not given. */
  retries?: number;
}

const TEMPORARY = new Set([408, 425, 429, 502, 503, 504]);
const REPEATABLE = new Set(["GET", "PUT", "DELETE"]);
const LONGEST_PAUSE = 60;
const TIMEOUT = 120;
const DEFAULT_URL = "http://localhost:8000";
/** Bytes a second of the slowest way that an upload is given time for. */
const SLOWEST = 32 * 1024;
const BASES = /(\/api\/v1\/llm|\/api\/v1|\/api|\/v1)?\/*$/;

export class Http {
  readonly root: string;
  readonly maxRetries: number;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  readonly #key: string | undefined;
  readonly #fetch: typeof fetch;
  #csrf: Promise<string | null> | null = null;

  constructor(options: Options = {}) {
    const environment = (globalThis as { process?: { env?: Record<string, string> } }).process?.env ?? {};
    const place = options.baseUrl || environment["LLM_PLATFORM_URL"] || globalThis.location?.origin || DEFAULT_URL;
    this.root = absolute(place).replace(BASES, "");
    this.#key = (options.apiKey ?? environment["LLM_PLATFORM_API_KEY"])?.trim();
    this.maxRetries = options.maxRetries ?? 3;
    this.timeout = options.timeout ?? TIMEOUT;
    this.signal = options.signal;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  get authorization(): Record<string, string> {
    return this.#key ? { Authorization: `Bearer ${this.#key}` } : {};
  }

  get<T>(path: string, into: string, query?: Query): Promise<T> {
    return this.json<T>("GET", path, into, { query });
  }

  post<T>(path: string, into: string, body?: unknown, kind = "", once = false): Promise<T> {
    return this.json<T>("POST", path, into, { body, kind, once });
  }

  put<T>(path: string, into: string, body: unknown, kind: string): Promise<T> {
    return this.json<T>("PUT", path, into, { body, kind });
  }

  delete<T>(path: string, into: string, query?: Query): Promise<T> {
    return this.json<T>("DELETE", path, into, { query });
  }

  async json<T>(method: string, path: string, into: string, asked: Asked = {}): Promise<T> {
    const text = await this.#text(await this.send(method, path, asked), asked.signal);
    return fromWire<T>(parsed(text), into);
  }

  async text(path: string, media: string): Promise<string> {
    return this.#text(await this.send("GET", path, { headers: { Accept: media } }));
  }

  async #text(response: Response, signal?: AbortSignal): Promise<string> {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for await (const bytes of this.bytes(response, { signal })) parts.push(bytes);
    return new Blob(parts).text();
  }

  /** The items of a list that comes in pages, asked for as they are needed; at most `limit` in all. */
  async *pages<T>(path: string, into: string, query: Query & { limit?: number } = {}, list = "items"): AsyncGenerator<T> {
    const { limit = Infinity, ...filters } = query;
    for (let offset = 0; offset < limit; ) {
      const size = Math.min(100, limit - offset);
      const page = await this.get<Record<string, T[]>>(path, into, { ...filters, limit: size, offset });
      const items = page[list] ?? [];
      yield* items;
      offset += items.length;
      if (items.length < size) return;
    }
  }

  /** The answer, once there is a good one. Its body may be unread still. */
  async send(method: string, path: string, asked: Asked = {}): Promise<Response> {
    const headers = new Headers({ Accept: "application/json", ...this.authorization, ...asked.headers });
    if (method === "POST" && !headers.has("Idempotency-Key")) headers.set("Idempotency-Key", unique());
    let body: BodyInit | null = null;
    if (asked.body instanceof Blob) body = asked.body;
    else if (asked.body !== undefined) {
      body = JSON.stringify(toWire(asked.body, asked.kind ?? ""));
      headers.set("Content-Type", "application/json");
    }
    const signal = this.ending(asked.signal);
    const most = asked.retries ?? this.maxRetries;
    const url = this.root + path + queryText(asked.query);
    for (let attempt = 0; ; attempt++) {
      await this.#sign(method, headers);
      const outcome = await this.#attempt(url, { method, headers, body }, signal);
      if (outcome instanceof Response && (outcome.ok || outcome.status === asked.also)) return outcome;
      const repeatable = asked.once || REPEATABLE.has(method);
      if (outcome instanceof ConnectionFailed) {
        if (attempt >= most || !repeatable) throw outcome;
        await pause(attempt, null, signal);
        continue;
      }
      const wanted = retryAfter(outcome.headers);
      if (attempt >= most || !mayPass(outcome, wanted, repeatable)) throw await this.#refusal(outcome);
      await outcome.body?.cancel();
      await pause(attempt, wanted, signal);
    }
  }

  /** What ends a call: the client's signal or its own. */
  ending(own?: AbortSignal): AbortSignal | undefined {
    return own && this.signal ? AbortSignal.any([own, this.signal]) : (own ?? this.signal);
  }

  /** The bytes of an answer, as they come. Throws `ConnectionFailed` where they break off, or none come for too long. */
  async *bytes(
    response: Response,
    { silence = this.timeout, signal }: { silence?: number; signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const reader = response.body?.getReader();
    const ending = this.ending(signal);
    try {
      while (reader) {
        const { done, value } = await within(silence, reader.read()).catch((error: unknown) => {
          ending?.throwIfAborted();
          throw error instanceof TimedOut ? error : new ConnectionFailed(`The connection was lost: ${error}`, { cause: error });
        });
        if (done) return;
        yield value;
      }
    } finally {
      await reader?.cancel().catch(() => undefined);
    }
  }

  /** Throws the signal's reason once that has ended the call. */
  async #attempt(url: string, init: RequestInit, signal?: AbortSignal): Promise<Response | ConnectionFailed> {
    const late = new AbortController();
    const seconds = this.timeout + (init.body instanceof Blob ? init.body.size / SLOWEST : 0);
    try {
      const ends = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
      return await within(seconds, this.#fetch(url, { ...init, signal: ends, credentials: "same-origin" }));
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof TimedOut) {
        late.abort();
        return error;
      }
      return new ConnectionFailed(`The platform cannot be reached: ${reason(error)}`, { cause: error });
    }
  }

  /** In a session, what changes something carries its token. */
  async #sign(method: string, headers: Headers): Promise<void> {
    if (this.#key || method === "GET" || typeof document === "undefined") return;
    this.#csrf ??= this.#token();
    const token = await this.#csrf;
    if (token) headers.set("X-CSRF-Token", token);
    // The platform did not tell, or nobody had logged in: that may be otherwise next time.
    else this.#csrf = null;
  }

  async #token(): Promise<string | null> {
    const answer = await this.#attempt(`${this.root}/api/v1/me`, { method: "GET" });
    if (answer instanceof ConnectionFailed || !answer.ok) return null;
    const told = (await within(this.timeout, answer.json()).catch(() => null)) as { csrf_token?: string | null } | null;
    return told?.csrf_token ?? null;
  }

  async #refusal(response: Response): Promise<ApiError> {
    const error = await within(this.timeout, refusal(response));
    // Somebody else may have logged in.
    if (error instanceof Forbidden) this.#csrf = null;
    return error;
  }
}

/** The path of something below `base`. Throws for an id that is missing. */
export function at(base: string, ...parts: (string | number | undefined | null)[]): string {
  for (const part of parts) {
    if (part === undefined || part === null || part === "") throw new TypeError(`The id of something below ${base} is missing`);
  }
  return [base, ...parts.map((part) => encodeURIComponent(String(part)))].join("/");
}

/** Waits before the next attempt: at random up to a bound that doubles, and no less than the platform wants. */
export async function pause(attempt: number, wanted: number | null, signal?: AbortSignal): Promise<void> {
  const drawn = Math.random() * Math.min(8, 0.5 * 2 ** attempt);
  await sleep(wanted === null ? drawn : wanted + drawn / 2, signal);
}

/** Throws the signal's reason if that comes first. */
export function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", leave);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) leave();
    signal?.addEventListener("abort", leave, { once: true });
  });
}

/** A name that nothing else has. A page that is not secure has no `randomUUID`. */
export function unique(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What comes in time. Throws `TimedOut` after so many seconds. */
export async function within<T>(seconds: number, what: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimedOut(`Nothing was heard for ${seconds} seconds`)), Math.min(seconds * 1000, 2 ** 31 - 1));
  });
  try {
    return await Promise.race([what, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What `fetch` failed of: its own message says nothing in Node, where the cause does. */
function reason(error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  return cause?.message || cause?.code || String(error);
}

/** Throws `UnexpectedAnswer` for what is no JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UnexpectedAnswer(`The answer is no JSON: ${text.slice(0, 200)}`, { cause: error });
  }
}

function absolute(place: string): string {
  const url = URL.canParse(place, globalThis.location?.href) ? new URL(place, globalThis.location?.href).href : "";
  if (!/^https?:/.test(url)) throw new TypeError(`${place} is no address: it has to be like ${DEFAULT_URL}`);
  return url;
}

function mayPass(response: Response, wanted: number | null, repeatable: boolean): boolean {
  if (response.headers.get("x-should-retry") === "false" || (wanted ?? 0) > LONGEST_PAUSE) return false;
  return response.status === 429 || (TEMPORARY.has(response.status) && repeatable);
}

function queryText(query: Query | undefined): string {
  const given = Object.entries((toWire({ ...query }, "") as object) ?? {}).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)])).toString();
  return text && `?${text}`;
}
