/** From the platform's spelling of names to JavaScript's and back. Keys that are data, such as a prompt's variables, stay. */

import { ANSWERS, REQUESTS, type Shapes } from "./schemas/shapes.js";

/** What the platform answered, `kind` being its shape (`Job`, `Connected|NotConnected`). */
export function fromWire<T>(value: unknown, kind: string): T {
  return respelt(value, kind, ANSWERS, camelCase) as T;
}

/** What the platform is asked. Names that are spelt its way already stay as they are. */
export function toWire(value: unknown, kind: string): unknown {
  return respelt(value, kind, REQUESTS, snakeCase);
}

export function camelCase(name: string): string {
  return name.replace(/(?<=[a-zA-Z0-9])_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

export function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

function respelt(value: unknown, kind: string, shapes: Shapes, spell: (name: string) => string): unknown {
  if (kind === "!" || !isPlain(value)) return value;
  if (Array.isArray(value)) return value.map((item) => respelt(item, kind, shapes, spell));
  if (kind.startsWith("*")) {
    return mapped(value, (key, inner) => [key, respelt(inner, kind.slice(1), shapes, spell)]);
  }
  return mapped(value, (key, inner) => [spell(key), respelt(inner, held(key, kind, shapes), shapes, spell)]);
}

/** What stands in a field of one of the shapes. */
function held(field: string, kind: string, shapes: Shapes): string {
  const wire = snakeCase(field);
  const found = kind.split("|").map((name) => shapes[name]?.[field] ?? shapes[name]?.[wire]);
  return found.filter((each) => each !== undefined).join("|");
}

function mapped(value: object, each: (key: string, inner: unknown) => [string, unknown]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => each(key, inner)));
}

/** An array or an object that is nothing more. */
function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
