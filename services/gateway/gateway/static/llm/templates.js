// Prompt templates as the platform renders them: named variables in braces, `{{` and `}}` for braces, nothing else.

const TOKEN = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The names of the variables, in order, each once; none for a text that is no template, such as one with JSON in it. */
export function variables(template) {
  const names = new Set();
  for (const [token, name] of template.matchAll(TOKEN)) {
    if (token === "{{" || token === "}}") continue;
    if (name === undefined || !NAME.test(name)) return [];
    names.add(name);
  }
  return [...names];
}

/** The template with its variables replaced. A text without variables stays as it is. */
export function render(template, values) {
  if (!variables(template).length) return template;
  return template.replace(TOKEN, (token, name) => (name === undefined ? token[0] : values[name]));
}
