"""Types for TypeScript, in its own spelling of names, and what its code needs to know to spell them."""

import json
import re
from collections.abc import Iterable, Mapping

from sdk_codegen.reading import Choice, Description, ListOf, MapOf, Named, OneOf, Scalar, Shape, Type

_MADE = "Made by `make sdk` from the API's description: do not edit."
_SCALARS: Mapping[str, str] = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "any": "unknown",
    "moment": "string",
    "day": "string",
    "bytes": "Blob",
}


def answers(description: Description) -> str:
    return _module("What the platform answers.", description.answers)


def requests(description: Description) -> str:
    return _module("What the platform may be asked.", description.requests)


def shapes(description: Description) -> str:
    """Which fields hold what, for the code that spells names otherwise: keys that are data stay as they are."""
    return "\n".join(
        [
            f"// Which fields hold shapes (`A|B`), maps of shapes (`*A`) or data (`!`). {_MADE}",
            "",
            "export type Shapes = Readonly<Record<string, Readonly<Record<string, string>>>>;",
            f"export const ANSWERS: Shapes = {_table(description.answers)};",
            f"export const REQUESTS: Shapes = {_table(description.requests)};",
            "",
        ]
    )


def _table(described: Iterable[Shape]) -> str:
    found = {shape.name: {f.name: held for f in shape.fields if (held := _held(f.type))} for shape in described}
    return json.dumps({name: fields for name, fields in found.items() if fields}, separators=(",", ":"))


def _held(kind: Type) -> str:
    """What stands in a field, if it is not plain; lists of it are told as it is."""
    match kind:
        case Named(name):
            return name
        case ListOf(item):
            return _held(item)
        case MapOf(value):
            inner = _held(value)
            return "!" if inner in ("", "!") else "*" + inner
        case OneOf(parts):
            found = dict.fromkeys(held for part in parts if (held := _held(part)))
            named = [held for held in found if held != "!"]
            return "|".join(named) if named else next(iter(found), "")
        case Scalar("any"):
            return "!"
        case _:
            return ""


def _module(title: str, shapes: Iterable[Shape]) -> str:
    lines = [f"// {title} {_MADE}", ""]
    for shape in shapes:
        if shape.doc:
            lines += ["/**", *(f" * {line}".rstrip() for line in shape.doc.replace("*/", "* /").split("\n")), " */"]
        if shape.alias is not None:
            lines += [f"export type {shape.name} = {_spelt(shape.alias)};", ""]
            continue
        fields = [f"  {camel_case(f.name)}{'' if f.required else '?'}: {_spelt(f.type)};" for f in shape.fields]
        lines += [f"export interface {shape.name} {{", *fields, "}", ""]
    return "\n".join(lines)


def camel_case(name: str) -> str:
    """`run_id` as JavaScript writes it."""
    return re.sub(r"(?<=[a-zA-Z0-9])_([a-z0-9])", lambda found: found[1].upper(), name)


def _spelt(kind: Type) -> str:
    match kind:
        case Scalar(name):
            return _SCALARS[name]
        case Choice(values):
            return " | ".join(f'"{value}"' for value in values)
        case Named(name):
            return name
        case ListOf(item):
            return f"Array<{_spelt(item)}>"
        case MapOf(value):
            return f"Record<string, {_spelt(value)}>"
        case OneOf(parts):
            return " | ".join(dict.fromkeys(_spelt(part) for part in parts))
