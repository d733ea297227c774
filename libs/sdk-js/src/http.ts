/** Requests: who asks, what is sent again, and how an answer that breaks off is told from one that ends. */

import { ApiError, ConnectionFailed, Forbidden, refusal, retryAfter } from "./errors.js";
import { fromWire, toWire } from "./naming.js";

export interface Options {
  /** The platform's address, with or without a document's base (`/api/v1`). In a browser: the page's own, if not given. */
  baseUrl?: string;
  /** In Node: `LLM_PLATFORM_API_KEY`, if not given. A browser without one uses the session of whoever is logged in. */
  apiKey?: string;
  /** More attempts after the first; 3 if not given. */
  maxRetries?: number;
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
}

const TEMPORARY = new Set([408, 425, 429, 502, 503, 504]);
const REPEATABLE = new Set(["GET", "PUT", "DELETE"]);
const LONGEST_PAUSE = 60;
const BASES = /(\/api\/v1\/llm|\/api\/v1|\/api|\/v1)?\/*$/;

export class Http {
  readonly root: string;
  readonly maxRetries: number;
  readonly #key: string | undefined;
  readonly #fetch: typeof fetch;
  #csrf: Promise<string | null> | null = null;

  constructor(options: Options = {}) {
    const environment = (globalThis as { process?: { env?: Record<string, string> } }).process?.env ?? {};
    const place = options.baseUrl ?? environment["LLM_PLATFORM_URL"] ?? globalThis.location?.origin;
    this.root = (place ?? "http://localhost:8000").replace(BASES, "");
    this.#key = options.apiKey ?? environment["LLM_PLATFORM_API_KEY"];
    this.maxRetries = options.maxRetries ?? 3;
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
    return fromWire<T>(await this.#whole(await this.send(method, path, asked), (response) => response.json()), into);
  }

  async text(path: string, media: string): Promise<string> {
    const response = await this.send("GET", path, { headers: { Accept: media } });
    return this.#whole(response, (answered) => answered.text());
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
    if (method === "POST") headers.set("Idempotency-Key", crypto.randomUUID());
    let body: BodyInit | null = null;
    if (asked.body instanceof Blob) body = asked.body;
    else if (asked.body !== undefined) {
      body = JSON.stringify(toWire(asked.body, asked.kind ?? ""));
      headers.set("Content-Type", "application/json");
    }
    const url = this.root + path + queryText(asked.query);
    for (let attempt = 0; ; attempt++) {
      await this.#sign(method, headers);
      const outcome = await this.#attempt(url, { method, headers, body, signal: asked.signal ?? null });
      if (outcome instanceof Response && outcome.ok) return outcome;
      const repeatable = asked.once || REPEATABLE.has(method);
      if (outcome instanceof ConnectionFailed) {
        if (attempt >= this.maxRetries || !repeatable || asked.signal?.aborted) throw outcome;
        await pause(attempt, null);
        continue;
      }
      const wanted = retryAfter(outcome.headers);
      if (attempt >= this.maxRetries || !mayPass(outcome, wanted, repeatable)) throw await this.#refusal(outcome);
      await outcome.body?.cancel();
      await pause(attempt, wanted);
    }
  }

  async #attempt(url: string, init: RequestInit): Promise<Response | ConnectionFailed> {
    try {
      return await this.#fetch(url, { ...init, credentials: "same-origin" });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      return new ConnectionFailed(`The platform cannot be reached: ${String(error)}`, { cause: error });
    }
  }

  /** In a session, what changes something carries its token. */
  async #sign(method: string, headers: Headers): Promise<void> {
    if (this.#key || method === "GET" || typeof document === "undefined") return;
    this.#csrf ??= this.#token();
    const token = await this.#csrf;
    if (token) headers.set("X-CSRF-Token", token);
  }

  async #token(): Promise<string | null> {
    const answer = await this.#attempt(`${this.root}/api/v1/me`, { method: "GET" });
    if (answer instanceof ConnectionFailed || !answer.ok) return null;
    return ((await answer.json()) as { csrf_token?: string | null }).csrf_token ?? null;
  }

  async #refusal(response: Response): Promise<ApiError> {
    const error = await refusal(response);
    // Somebody else may have logged in.
    if (error instanceof Forbidden) this.#csrf = null;
    return error;
  }

  async #whole<T>(response: Response, read: (response: Response) => Promise<T>): Promise<T> {
    try {
      return await read(response);
    } catch (error) {
      throw new ConnectionFailed(`The answer broke off: ${String(error)}`, { cause: error });
    }
  }
}

/** The bytes of an answer, as they come. Throws `ConnectionFailed` where they break off. */
export async function* bytesOf(response: Response): AsyncGenerator<Uint8Array> {
  if (!response.body) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw new ConnectionFailed(`The connection was lost: ${String(error)}`, { cause: error });
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
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
export async function pause(attempt: number, wanted: number | null): Promise<void> {
  const drawn = Math.random() * Math.min(8, 0.5 * 2 ** attempt);
  const seconds = wanted === null ? drawn : wanted + drawn / 2;
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
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
