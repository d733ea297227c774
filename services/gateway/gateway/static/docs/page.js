// Shows /openapi.json: operations by tag, their fields and answers, and a form to try each with a key.
// Text from the description only ever becomes text nodes, never markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const KEY_NAME = "llm-platform-key";
const MOST_SHOWN = 200_000;

let description;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

// Prose of the description: what stands between backticks is code.
function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

// Schemas

function resolve(schema) {
  let found = schema ?? {};
  while (found.$ref) found = description.components.schemas[found.$ref.split("/").pop()];
  return found;
}

function nameOf(schema) {
  return schema.$ref ? schema.$ref.split("/").pop() : null;
}

// A field that may be null is described as a choice between null and something: that something.
function withoutNull(schema) {
  const choices = schema.anyOf?.filter((choice) => choice.type !== "null");
  return choices?.length === 1 ? choices[0] : schema;
}

function typeOf(schema) {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map(typeOf).join(" | ");
  const name = nameOf(schema);
  if (name) return resolve(schema).enum ? typeOf(resolve(schema)) : name;
  if (schema.type === "array") return `array of ${typeOf(schema.items ?? {})}`;
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return `object of ${typeOf(schema.additionalProperties)}`;
  }
  return schema.format ? `${schema.type} (${schema.format})` : schema.type ?? "any";
}

function limitsOf(schema) {
  const inner = withoutNull(schema);
  const words = {
    minimum: "≥", maximum: "≤", exclusiveMinimum: ">", exclusiveMaximum: "<",
    minLength: "length ≥", maxLength: "length ≤", minItems: "items ≥", maxItems: "items ≤", pattern: "matches",
  };
  const limits = Object.entries(words).filter(([name]) => inner[name] !== undefined).map(([name, word]) => `${word} ${inner[name]}`);
  if (schema.default !== undefined && schema.default !== null) limits.push(`default ${JSON.stringify(schema.default)}`);
  return limits.join(", ");
}

// The models inside a field, which can be unfolded.
function modelsIn(schema) {
  if (schema.$ref) return resolve(schema).properties ? [schema] : modelsIn(resolve(schema));
  if (schema.properties) return [schema];
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  if (schema.items) inner.push(schema.items);
  if (typeof schema.additionalProperties === "object") inner.push(schema.additionalProperties);
  return inner.flatMap(modelsIn);
}

function unfoldable(schema) {
  const details = element("details", {}, element("summary", {}, nameOf(schema) ?? "fields"));
  // Made when it is opened: schemas may refer to themselves.
  details.addEventListener("toggle", () => details.append(fieldsTable(schema)), { once: true });
  return details;
}

function fieldRow(name, schema, required) {
  return element("tr", {},
    element("td", {}, element("span", { class: "field" }, name), required ? element("span", { class: "required" }, "required") : null),
    element("td", {},
      element("span", { class: "type" }, [typeOf(schema), limitsOf(schema)].filter(Boolean).join(" · ")),
      schema.description ? element("div", {}, prose(schema.description)) : null,
      modelsIn(schema).map(unfoldable)));
}

function fieldsTable(schema) {
  const model = resolve(schema);
  const rows = Object.entries(model.properties ?? {})
    .map(([name, field]) => fieldRow(name, field, model.required?.includes(name)));
  if (!rows.length) return element("p", { class: "hint" }, typeOf(schema));
  return element("table", {}, element("tbody", {}, rows));
}

function schemaView(schema) {
  const model = resolve(schema);
  return [model.description ? element("p", { class: "hint" }, prose(model.description)) : null, fieldsTable(schema)];
}

// A value that fits the schema: required fields only, so that it is short.
function sample(schema, depth = 0) {
  const model = resolve(withoutNull(schema));
  if (model.default !== undefined && model.default !== null) return model.default;
  if (model.const !== undefined) return model.const;
  if (model.enum) return model.enum[0];
  if (model.anyOf || model.oneOf) return sample((model.anyOf ?? model.oneOf)[0], depth);
  if (depth > 5) return null;
  switch (model.type) {
    case "object":
      return Object.fromEntries(Object.entries(model.properties ?? {})
        .filter(([name]) => model.required?.includes(name))
        .map(([name, field]) => [name, sample(field, depth + 1)]));
    case "array": return model.minItems ? [sample(model.items ?? {}, depth + 1)] : [];
    case "string": return "string";
    case "integer": case "number": return model.minimum ?? 0;
    case "boolean": return false;
    default: return null;
  }
}

// Operations

function operationsOf(api) {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ method, path, ...item[method] })));
}

function bodyOf(operation) {
  const [media, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [null, null];
  return { media, schema: content?.schema, example: content?.example };
}

function parametersView(operation) {
  if (!operation.parameters.length) return null;
  const rows = operation.parameters.map((parameter) =>
    fieldRow(`${parameter.name} (${parameter.in})`, parameter.schema, parameter.required));
  return [element("h4", {}, "Parameters"), element("table", {}, element("tbody", {}, rows))];
}

function bodyView(operation) {
  const { media, schema, example } = bodyOf(operation);
  if (!schema) return null;
  return [
    element("h4", {}, `Body, ${media}`),
    schemaView(schema),
    example ? [element("h4", {}, "Example"), element("pre", {}, JSON.stringify(example, null, 2))] : null,
  ];
}

function responsesView(operation) {
  const all = Object.entries(operation.responses).map(([status, response]) => {
    const forms = Object.entries(response.content ?? {});
    return element("details", {},
      element("summary", {},
        element("span", { class: `status ${status < "400" ? "good" : "bad"}` }, status), prose(response.description), " ",
        element("span", { class: "type" }, forms.map(([media]) => media).join(", "))),
      forms.map(([media, content]) => content.schema
        ? [forms.length > 1 ? element("h4", {}, media) : null, schemaView(content.schema)]
        : null));
  });
  return [element("h4", {}, "Answers"), element("div", { class: "responses" }, all)];
}

function operationView(operation) {
  const details = element("details", {},
    element("summary", {},
      element("span", { class: `method ${operation.method}` }, operation.method),
      element("span", { class: "path" }, operation.path),
      element("span", { class: "summary" }, operation.summary),
      operation.security.length ? null : element("span", { class: "open" }, "no key needed")));
  details.addEventListener("toggle", () => details.append(
    element("div", { class: "inside" },
      operation.description ? element("p", {}, prose(operation.description)) : null,
      [parametersView(operation), bodyView(operation), responsesView(operation)],
      tryView(operation))), { once: true });
  return element("article", { id: operation.operationId }, details);
}

// Trying

function fieldInput(schema, required) {
  const inner = resolve(withoutNull(schema));
  if (inner.format === "binary") return element("input", { type: "file" });
  if (inner.enum || inner.type === "boolean") {
    const values = inner.enum ?? [true, false];
    return element("select", {}, required ? null : element("option", { value: "" }, "–"),
      values.map((value) => element("option", { value }, String(value))));
  }
  const placeholder = schema.default !== undefined && schema.default !== null ? String(schema.default) : "";
  return element("input", { type: "text", placeholder, spellcheck: "false" });
}

function labelled(name, input) {
  return element("label", { class: "row" }, element("span", { class: "field" }, name), input);
}

function bodyInputs(operation) {
  const { media, schema, example } = bodyOf(operation);
  if (!schema) return { view: null, read: () => ({}) };
  if (media === "multipart/form-data") return formInputs(resolve(schema));
  const area = element("textarea", { "aria-label": "Body", spellcheck: "false" });
  area.value = JSON.stringify(example ?? sample(schema), null, 2);
  return { view: area, read: () => ({ body: area.value, headers: { "Content-Type": media }, text: area.value }) };
}

function formInputs(model) {
  const inputs = Object.entries(model.properties)
    .map(([name, field]) => [name, fieldInput(field, model.required?.includes(name))]);
  const read = () => {
    const body = new FormData();
    const words = [];
    for (const [name, input] of inputs) {
      const value = input.files ? input.files[0] : input.value;
      if (!value) continue;
      body.append(name, value);
      words.push(`-F ${quoted(`${name}=${input.files ? `@${value.name}` : value}`)}`);
    }
    return { body, form: words };
  };
  return { view: element("div", {}, inputs.map(([name, input]) => labelled(name, input))), read };
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function urlOf(operation, inputs) {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const [parameter, input] of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value && parameter.in === "query") query.append(parameter.name, input.value);
    else if (input.value) headers[parameter.name] = input.value;
  }
  return { url: query.size ? `${path}?${query}` : path, headers };
}

function curlOf(operation, url, headers, body) {
  const words = ["curl -N"];
  if (operation.method !== "get" && operation.method !== "post") words.push(`-X ${operation.method.toUpperCase()}`);
  for (const [name, value] of Object.entries(headers)) words.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (operation.security.length) words.push('-H "Authorization: Bearer $KEY"');
  if (body.form) words.push(...body.form);
  if (body.text) words.push(`-d ${quoted(body.text)}`);
  return [...words, quoted(location.origin + url)].join(" \\\n  ");
}

function tryView(operation) {
  const inputs = operation.parameters.map((parameter) => [parameter, fieldInput(parameter.schema, parameter.required)]);
  const body = bodyInputs(operation);
  const output = element("div", {});
  const send = element("button", { class: "send", type: "button" }, "Send");
  const stop = element("button", { type: "button", disabled: true }, "Stop");
  let control = null;
  const request = () => {
    const { url, headers } = urlOf(operation, inputs);
    const { body: content, headers: more, ...rest } = body.read();
    return { url, headers: { ...headers, ...more }, content, rest };
  };
  send.addEventListener("click", async () => {
    // Without its parts a path would be another's, or nobody's.
    const empty = inputs.find(([parameter, input]) => parameter.in === "path" && !input.value);
    if (empty) {
      output.replaceChildren(element("p", { class: "bad" }, `Fill in: ${empty[0].name}.`));
      empty[1].focus();
      return;
    }
    const { url, headers, content } = request();
    control = new AbortController();
    send.disabled = true;
    stop.disabled = false;
    await show(operation, url, headers, content, control.signal, output);
    send.disabled = false;
    stop.disabled = true;
  });
  stop.addEventListener("click", () => control?.abort());
  const curl = element("button", { type: "button", onclick: () => {
    const { url, headers, rest } = request();
    output.replaceChildren(element("pre", {}, curlOf(operation, url, headers, rest)));
  } }, "As curl");
  return element("section", { class: "try" },
    element("h4", {}, "Try it"),
    inputs.map(([parameter, input]) => labelled(parameter.name, input)),
    body.view,
    element("div", { class: "buttons" }, send, stop, curl),
    output);
}

// Without a key the browser's session asks, if there is one: what it changes needs a token besides its cookie.
async function sessionHeaders() {
  const response = await fetch("/api/v1/me");
  return response.ok ? { "X-CSRF-Token": (await response.json()).csrf_token } : {};
}

async function show(operation, url, headers, body, signal, output) {
  const key = document.getElementById("key").value.trim();
  const started = performance.now();
  output.replaceChildren(element("p", { class: "hint" }, "Sending …"));
  try {
    const who = !operation.security.length ? {} : key ? { Authorization: `Bearer ${key}` } : await sessionHeaders();
    const response = await fetch(url, { method: operation.method.toUpperCase(), headers: { ...headers, ...who }, body, signal });
    const pre = element("pre", {});
    const took = () => `${Math.round(performance.now() - started)} ms`;
    const line = element("p", { class: response.ok ? "good" : "bad" }, `${response.status} ${response.statusText} · ${took()}`);
    output.replaceChildren(line, element("p", { class: "hint" }, `x-request-id: ${response.headers.get("x-request-id")}`), pre);
    await showBody(response, pre);
    line.textContent = `${response.status} ${response.statusText} · ${took()}`;
  } catch (error) {
    output.append(element("p", { class: "bad" }, error.name === "AbortError" ? "Stopped." : `Failed: ${error.message}`));
  }
}

async function showBody(response, pre) {
  const media = response.headers.get("content-type") ?? "";
  if (media.includes("json")) {
    const text = await response.text();
    try {
      pre.textContent = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      pre.textContent = text;
    }
  } else if (media.startsWith("text/")) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      pre.append(part.value);
      if (pre.textContent.length > MOST_SHOWN) {
        pre.append("\n… cut here");
        return reader.cancel();
      }
      pre.scrollTop = pre.scrollHeight;
    }
  } else {
    const blob = await response.blob();
    const name = decodeURIComponent(response.headers.get("content-disposition")?.split("''")[1] ?? "download");
    pre.replaceChildren(element("a", { href: URL.createObjectURL(blob), download: name }, `Save ${name} (${blob.size} bytes)`));
  }
}

// The page

function contentsEntry(operation) {
  const open = () => { document.getElementById(operation.operationId).firstChild.open = true; };
  return element("li", {},
    element("a", { href: `#${operation.operationId}`, onclick: open, title: operation.path },
      element("span", { class: `method ${operation.method}` }, operation.method), operation.summary));
}

function textOf(operation) {
  const words = [operation.method, operation.path, operation.summary, operation.description, operation.tags.join(" ")];
  const models = [bodyOf(operation).schema, ...Object.values(operation.responses)
    .flatMap((response) => Object.values(response.content ?? {}).map((content) => content.schema))].filter(Boolean);
  for (const schema of models) words.push(nameOf(schema), ...Object.keys(resolve(schema).properties ?? {}));
  words.push(...operation.parameters.map((parameter) => parameter.name));
  return words.filter(Boolean).join(" ").toLowerCase();
}

function render(operations) {
  const contents = [];
  const sections = [];
  for (const { name } of description.tags) {
    const own = operations.filter((operation) => operation.tags.includes(name));
    if (!own.length) continue;
    contents.push(element("h2", {}, name), element("ul", {}, own.map(contentsEntry)));
    sections.push(element("section", {}, element("h2", {}, name), own.map(operationView)));
  }
  document.getElementById("contents").replaceChildren(...contents);
  document.getElementById("operations").replaceChildren(
    ...(sections.length ? sections : [element("p", { class: "hint" }, "Nothing here matches.")]));
}

function openNamed() {
  const article = document.getElementById(location.hash.slice(1));
  if (!article?.matches("article")) return;
  article.firstChild.open = true;
  article.scrollIntoView();
}

async function start() {
  const response = await fetch("/openapi.json");
  description = await response.json();
  document.getElementById("title").textContent = description.info.title;
  document.getElementById("version").textContent = `API ${description.info.version} ·`;
  const operations = operationsOf(description);
  const texts = new Map(operations.map((operation) => [operation, textOf(operation)]));
  const search = document.getElementById("search");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    render(operations.filter((operation) => words.every((word) => texts.get(operation).includes(word))));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, textarea, select")) {
      event.preventDefault();
      search.focus();
    }
  });
  const key = document.getElementById("key");
  key.value = sessionStorage.getItem(KEY_NAME) ?? "";
  key.addEventListener("input", () => sessionStorage.setItem(KEY_NAME, key.value));
  window.addEventListener("hashchange", openNamed);
  render(operations);
  openNamed();
}

start().catch((error) => {
  document.getElementById("operations").replaceChildren(element("p", { class: "bad" }, `The description could not be read: ${error.message}`));
});
