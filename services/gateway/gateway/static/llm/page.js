// The page for trying prompts: a login, a question, and an answer that comes as it is made.
// Text from the platform only ever becomes text nodes, never markup.

import * as calls from "./calls.js";
import { render, variables } from "./templates.js";

const at = (id) => document.getElementById(id);
const UNASKED = "The session is over: log in again.";

let person = null; // The id of who works here.
let running = null; // What stops the answer that comes now.
let chosen = []; // The prompts that can be started from.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  Object.assign(made, attributes);
  made.append(...children);
  return made;
}

// Views

function showLogin(problem = "") {
  running?.abort();
  at("password-dialog").close();
  at("account").hidden = at("bench").hidden = true;
  at("login").hidden = false;
  at("login-problem").textContent = problem;
  at("password").value = "";
  at(at("name").value ? "password" : "name").focus();
}

async function showBench() {
  const me = await calls.whoAmI();
  // Whose session was over finds the work again; somebody else does not.
  if (person !== null && person !== me.id) return location.reload();
  person = me.id;
  at("who").textContent = at("password-name").value = me.name;
  at("role").textContent = me.role;
  at("login").hidden = true;
  at("account").open = at("account").hidden = at("bench").hidden = false;
  // Who reads alone may look at prompts and models, and ask nothing.
  at("run").disabled = me.role === "viewer";
  at("notice").textContent = me.role === "viewer" ? "Your role is viewer: running a prompt needs the role member." : "";
  await Promise.all([offerModels(), offerPrompts()]);
  at("text").focus();
  return undefined;
}

// Whatever a session that is over refuses leads to the login.
async function inSession(work) {
  try {
    return await work();
  } catch (error) {
    if (error.status !== 401) throw error;
    showLogin(UNASKED);
    return undefined;
  }
}

// What can be chosen

async function offerModels() {
  const [models, configuration] = await Promise.allSettled([calls.models(), calls.configuration()]);
  const usual = configuration.value?.model_name;
  const before = at("model").value;
  at("model").replaceChildren(
    element("option", { value: "" }, usual ? `As configured: ${usual}` : "As configured"),
    ...(models.value ?? []).map(({ name, provider, status }) => {
      const away = status !== "active";
      return element("option", { value: name, disabled: away }, `${name} · ${provider}${away ? " · unavailable" : ""}`);
    }));
  at("model").value = before;
  if (at("model").selectedIndex < 0) at("model").value = "";
  if (models.reason) tellUnread("models", models.reason);
}

async function offerPrompts() {
  try {
    chosen = await calls.prompts();
  } catch (error) {
    tellUnread("prompts", error);
    return;
  }
  const [own] = at("prompt").options;
  at("prompt").replaceChildren(own, ...chosen.map(({ id, name }) => element("option", { value: id }, name)));
}

function tellUnread(what, error) {
  if (error.status === 401) throw error;
  at("notice").textContent = `The ${what} could not be read: ${error.message}`;
}

// The question

function offerFields() {
  const names = variables(at("text").value);
  const wanted = names.length ? names : [null];
  const fields = [...at("fields").querySelectorAll("textarea")];
  if (fields.length === wanted.length && fields.every((field, index) => field.name === (wanted[index] ?? ""))) return;
  const kept = new Map(fields.map((field) => [field.name, field.value]));
  at("fields").replaceChildren(...wanted.flatMap((name) => {
    const field = element("textarea", { id: `field-${name ?? ""}`, name: name ?? "", rows: name ? 2 : 4, maxLength: 200000 });
    field.value = kept.get(field.name) ?? "";
    return [element("label", { htmlFor: field.id }, name ?? "Input"), field];
  }));
}

// Throws `Failure` with what a person has to fill in.
function question() {
  const fields = Object.fromEntries([...at("fields").querySelectorAll("textarea")].map(({ name, value }) => [name, value]));
  const { "": input = "", ...values } = fields;
  const missing = Object.keys(values).filter((name) => !values[name].trim());
  if (!at("text").value.trim()) throw incomplete("text", "Write a prompt, or choose one.");
  if (missing.length) throw incomplete(`field-${missing[0]}`, `Fill in: ${missing.join(", ")}.`);
  for (const id of ["temperature", "max-tokens"]) {
    if (!at(id).value || !at(id).checkValidity()) {
      throw incomplete(id, `${at(id).labels[0].textContent}: ${at(id).validationMessage || "a number is needed"}`);
    }
  }
  return {
    prompt: render(at("text").value, values),
    input,
    temperature: at("temperature").valueAsNumber,
    max_tokens: at("max-tokens").valueAsNumber,
    ...(at("model").value ? { model_name: at("model").value } : {}),
  };
}

function incomplete(id, message) {
  at(id).focus();
  return new calls.Failure(message, { type: "incomplete" });
}

// The answer

async function run() {
  if (running || at("run").disabled) return;
  at("notice").textContent = "";
  let asked;
  try {
    asked = question();
  } catch (error) {
    at("notice").textContent = error.message;
    return;
  }
  const control = running = new AbortController();
  const ended = begin();
  try {
    await inSession(async () => ended(await receive(asked, control.signal)));
  } catch (error) {
    ended(null, error);
  } finally {
    ended(null);
    running = null;
  }
}

// Prepares the page for an answer; what is returned is called when that has ended, and heeded once.
function begin() {
  const started = performance.now();
  const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
  const clock = setInterval(() => tell(seconds(), true), 100);
  let over = false;
  at("output").replaceChildren();
  at("output").setAttribute("aria-busy", "true");
  at("failure").hidden = at("facts").hidden = at("copy").hidden = true;
  at("output").hidden = at("stop").hidden = false;
  at("run").disabled = true;
  // On a narrow screen the answer stands below the question.
  at("answer").scrollIntoView({ block: "nearest" });
  tell("0.0 s", true);
  return (result, error) => {
    if (over) return;
    over = true;
    clearInterval(clock);
    at("output").setAttribute("aria-busy", "false");
    at("run").disabled = false;
    at("stop").hidden = true;
    at("copy").hidden = !at("output").textContent;
    const failed = error && error.name !== "AbortError";
    if (result) showFacts(result);
    else if (failed) showFailure(error);
    tell(result ? "Finished" : failed ? "Failed" : `Stopped after ${seconds()}`);
  };
}

function tell(text, busy = false) {
  // Readers of the screen hear the ends alone, not every tenth of a second.
  at("state").setAttribute("aria-live", busy ? "off" : "polite");
  at("state").className = busy ? "running" : "";
  at("state").textContent = text;
}

async function receive(asked, signal) {
  const output = at("output");
  const text = document.createTextNode("");
  const pieces = calls.test(asked, signal);
  for (let piece = await pieces.next(); ; piece = await pieces.next()) {
    if (piece.done) return piece.value;
    if (!text.parentNode && piece.value) output.append(text);
    const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
    text.appendData(piece.value);
    if (atEnd) output.scrollTop = output.scrollHeight;
  }
}

function showFacts(result) {
  const { usage, cost } = result;
  const facts = [
    ["Model", result.model],
    ["Duration", lasting(result.duration)],
    ["First token", result.time_to_first_token === null ? null : lasting(result.time_to_first_token)],
    ["Tokens", `${usage.prompt_tokens} in, ${usage.completion_tokens} out`],
    ["Cost", cost === null ? "no price known" : `$${dollars(cost)}`],
    ["Ended by", result.finish_reason === "length" ? "max tokens reached" : null],
    ["Engine", result.simulated ? `${result.engine}: no model made this` : result.engine],
  ];
  at("facts").replaceChildren(...facts.filter(([, value]) => value !== null)
    .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  at("facts").hidden = false;
}

const lasting = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`);
// Exact as the platform counts, without the zeros at the end.
const dollars = (cost) => (cost.includes(".") ? cost.replace(/\.?0+$/, "") : cost);

function showFailure(error) {
  const steps = [
    ...Object.entries(error.details ?? {}).flatMap(([field, wrong]) => wrong.map((message) => `${field}: ${message}`)),
    ...(error.troubleshooting ?? []),
  ];
  at("failure").replaceChildren(
    element("div", {}, element("span", { className: "type" }, error.type ?? "error"), element("strong", {}, error.message)),
    ...(steps.length ? [element("ul", {}, ...steps.map((step) => element("li", {}, step)))] : []),
    element("p", { className: "hint" }, error.temporary ? "This may pass by itself." : "Trying again alone will not help.",
      error.requestId ? ` Request ${error.requestId}` : ""));
  at("failure").hidden = false;
  at("output").hidden = !at("output").textContent;
}

// What people do

at("login").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("log-in").disabled = true;
  try {
    await calls.logIn(at("name").value.trim(), at("password").value);
    at("password").value = at("login-problem").textContent = "";
    await showBench();
  } catch (error) {
    at("login-problem").textContent = error.message;
    at("password").select();
  } finally {
    at("log-in").disabled = false;
  }
});

for (const [id, leave] of [["log-out", calls.logOut], ["log-out-everywhere", calls.logOutEverywhere]]) {
  at(id).addEventListener("click", () => inSession(async () => {
    await leave();
    location.reload(); // Nothing of what was asked and answered stays.
  }).catch((error) => { at("notice").textContent = error.message; }));
}

at("change-password").addEventListener("click", () => {
  at("account").open = false;
  at("password-dialog").querySelector("form").reset();
  at("password-name").value = at("who").textContent;
  at("password-problem").textContent = "";
  at("password-dialog").showModal();
});
at("password-cancel").addEventListener("click", () => at("password-dialog").close());
at("password-dialog").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await inSession(() => calls.changePassword(at("old-password").value, at("new-password").value));
    at("password-dialog").close();
  } catch (error) {
    const wrong = error.details?.password?.map((message) => `The password now ${message}.`);
    at("password-problem").textContent = wrong?.join(" ") ?? error.message;
  }
});

at("prompt").addEventListener("change", () => {
  const prompt = chosen.find(({ id }) => String(id) === at("prompt").value);
  if (prompt) at("text").value = prompt.content;
  offerFields();
});
at("text").addEventListener("input", offerFields);
at("question").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
at("stop").addEventListener("click", () => running?.abort());
at("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(at("output").textContent);
  tell("Copied");
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !at("bench").hidden) run();
  else if (event.key === "Escape") {
    running?.abort();
    at("account").open = false;
  }
});
document.addEventListener("click", (event) => {
  if (!at("account").contains(event.target)) at("account").open = false;
});
// The session may have ended in another tab meanwhile.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !at("bench").hidden) inSession(calls.whoAmI).catch(() => {});
});

offerFields();
try {
  await showBench();
} catch (error) {
  showLogin(error.status === 401 ? "" : error.message);
}
