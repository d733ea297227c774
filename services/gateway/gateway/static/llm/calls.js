// Calls to the platform's API in the session of this browser.

/** An answer that is an error: its type, what a person can do about it, and the id to ask an administrator with. */
export class Failure extends Error {
  constructor(message, { status = 0, type = "connection", details = {}, troubleshooting = [], temporary = false, requestId = "" } = {}) {
    super(message);
    Object.assign(this, { status, type, details, troubleshooting, temporary, requestId });
  }
}

const LOST = {
  type: "connection",
  temporary: true,
  troubleshooting: ["Check that the platform runs and that you are connected to it.", "Run it again: nothing is kept of what broke off."],
};

let csrfToken = null;

/** The answer to a request; throws `Failure` for errors, and `AbortError` when `signal` says so. */
export async function send(method, path, body, { accept = "application/json", signal } = {}) {
  const headers = { Accept: accept };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && csrfToken) headers["X-CSRF-Token"] = csrfToken;
  let response;
  try {
    response = await fetch(path, { method, headers, body: JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    throw lost(error);
  }
  if (!response.ok) throw await failureOf(response);
  return response;
}

async function json(method, path, body) {
  return (await send(method, path, body)).json();
}

// A call that was stopped is no failure.
function lost(error) {
  return error.name === "AbortError" ? error : new Failure("The connection to the platform broke off.", LOST);
}

// Documents A and B tell more of an error than document E does; both name what is wrong with a field.
async function failureOf(response) {
  const known = { status: response.status, requestId: response.headers.get("X-Request-ID") ?? "" };
  const body = await response.json().catch(() => ({}));
  return body.error?.type
    ? failure(body, known)
    : new Failure(body.message ?? `The platform answered ${response.status}.`, {
      ...known,
      type: (body.error ?? "error").toLowerCase(),
      details: Object.fromEntries((body.metadata?.errors ?? []).map(({ field, message }) => [field, [message]])),
    });
}

function failure({ message, error }, known = {}) {
  return new Failure(message ?? error.message, { ...known, ...error });
}

// Sessions

export async function logIn(name, password) {
  const { csrf_token: token } = await json("POST", "/api/v1/login", { name, password });
  csrfToken = token;
}

export async function whoAmI() {
  const me = await json("GET", "/api/v1/me");
  csrfToken = me.csrf_token;
  return me;
}

export const logOut = () => json("POST", "/api/v1/logout", {});
export const logOutEverywhere = () => json("POST", "/api/v1/logout-everywhere", {});
export const changePassword = (password, newPassword) =>
  json("PUT", "/api/v1/me/password", { password, new_password: newPassword });

// What can be chosen

export const prompts = async () => (await json("GET", "/api/v1/llm/prompts")).data.prompts;
export const models = async () => (await json("GET", "/api/v1/llm/models")).data.models;
export const configuration = () => json("GET", "/api/v1/llm/config");

// Asking

/** The pieces of an answer as they come; returns its result. Throws `Failure`, also when it breaks off half-way. */
export async function* test(question, signal) {
  const response = await send("POST", "/api/v1/llm/test", question, { accept: "text/event-stream", signal });
  const requestId = response.headers.get("X-Request-ID") ?? "";
  for await (const { name, data } of events(response)) {
    if (name === "delta") yield data.content;
    else if (name === "result") return data;
    else if (name === "error") throw failure(data, { requestId });
  }
  throw new Failure("The answer broke off.", { ...LOST, requestId });
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  try {
    while (true) {
      const { done, value } = await reader.read().catch((error) => { throw lost(error); });
      if (done) return;
      const whole = (unread + value).split("\n\n");
      unread = whole.pop();
      // A comment only says that somebody is still there.
      yield* whole.filter((text) => !text.startsWith(":")).map(eventOf);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function eventOf(text) {
  const [name, data] = text.split("\n");
  return { name: name.slice("event: ".length), data: JSON.parse(data.slice("data: ".length)) };
}
