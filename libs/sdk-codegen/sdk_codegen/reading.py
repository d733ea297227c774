"""The API's description as types: what is answered and what may be asked for, told apart."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_PREFIX = "#/components/schemas/"
_ANSWERED = re.compile(r"2\d\d|101")
_METHODS = {"get": "", "delete": "Delete"}
_SEEN_TO = ("limit", "offset", "cursor", "after", "last_event_id", "ticket")
"""What the clients' own pages and streams put into queries."""
_SCALARS = ("string", "integer", "number", "boolean", "null")


@dataclass(frozen=True)
class Scalar:
    """A value of JSON; `moment` is a date and time, `day` a date, `bytes` a file, `any` whatever there is."""

    kind: str


@dataclass(frozen=True)
class Choice:
    values: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """Another shape, by its name."""

    name: str


@dataclass(frozen=True)
class ListOf:
    item: "Type"


@dataclass(frozen=True)
class MapOf:
    """An object whose keys are data."""

    value: "Type"


@dataclass(frozen=True)
class OneOf:
    parts: tuple["Type", ...]


Type = Scalar | Choice | Named | ListOf | MapOf | OneOf


@dataclass(frozen=True)
class Field:
    name: str
    type: Type
    required: bool
    default: Any


@dataclass(frozen=True)
class Shape:
    """An object with fields, or, where `alias` is given, another name for a type."""

    name: str
    doc: str
    fields: tuple[Field, ...] = ()
    alias: Type | None = None


@dataclass(frozen=True)
class Description:
    """Both halves, in the order of their names."""

    answers: tuple[Shape, ...]
    requests: tuple[Shape, ...]


def read(document: Json) -> Description:
    """What an OpenAPI 3.1 document describes. Raises ValueError for a schema that it knows no type for."""
    schemas: Json = document["components"]["schemas"]
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    answers = _reachable(schemas, (schema for operation in operations for schema in _answered(operation)))
    bodies = [schema for operation in operations for schema in _asked(operation)]
    asked = _reachable(schemas, bodies)
    inline = {schema["title"]: schema for schema in bodies if "title" in schema and "$ref" not in schema}
    return Description(
        answers=_shapes({name: schemas[name] for name in answers}),
        requests=_shapes({**{name: schemas[name] for name in asked}, **inline, **_queries(document["paths"])}),
    )


def _queries(paths: Json) -> dict[str, Json]:
    """What a GET or DELETE may be asked in its query, as an object: `JobsQuery` of `GET /api/v1/jobs`."""
    found: dict[str, Json] = {}
    for path, item in paths.items():
        for method, operation in item.items():
            fields = [p for p in operation["parameters"] if p["in"] == "query" and p["name"] not in _SEEN_TO]
            if method in _METHODS and fields:
                words = [word for word in path.split("/") if word not in ("", "api", "v1", "llm") and word[0] != "{"]
                name = _METHODS[method] + "".join(word.capitalize() for word in words) + "Query"
                found[name] = {
                    "properties": {field["name"]: field["schema"] for field in fields},
                    "required": [field["name"] for field in fields if field["required"]],
                }
    return found


def class_name(schema: str) -> str:
    """`Prices-Input` is `Prices`; of two modules' `Response`, the one of `run_events` is `RunEventsResponse`."""
    *modules, name = schema.removesuffix("-Input").removesuffix("-Output").split("__")
    owner = "".join(word.capitalize() for word in modules[-1].split("_")) if modules else ""
    return owner + name


def _answered(operation: Json) -> Iterator[Json]:
    for status, response in operation["responses"].items():
        if _ANSWERED.fullmatch(status):
            for media in response.get("content", {}).values():
                yield from _with_events(media.get("schema", {}))


def _with_events(schema: Any) -> Iterator[Json]:
    """The schema, and those of the JSON that its texts hold: the data of server-sent events."""
    if isinstance(schema, dict):
        if "contentSchema" in schema:
            yield schema["contentSchema"]
        for inner in schema.values():
            yield from _with_events(inner)
        if "$ref" in schema:
            yield schema
    elif isinstance(schema, list):
        for inner in schema:
            yield from _with_events(inner)


def _asked(operation: Json) -> Iterator[Json]:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        if schema := media["schema"]:
            yield schema


def _reachable(schemas: Mapping[str, Json], roots: Iterable[Json]) -> list[str]:
    found: set[str] = set()
    unread: list[Any] = list(roots)
    while unread:
        for name in set(_references(unread.pop())) - found:
            found.add(name)
            unread.append(schemas[name])
    return sorted(found)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(_PREFIX)
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _shapes(schemas: Mapping[str, Json]) -> tuple[Shape, ...]:
    shapes = [_shape(class_name(name), schema) for name, schema in schemas.items()]
    if len(names := {shape.name for shape in shapes}) != len(shapes):
        twice = sorted(name for name in names if sum(shape.name == name for shape in shapes) > 1)
        raise ValueError(f"two schemas would have one name: {', '.join(twice)}")
    return tuple(sorted(shapes, key=lambda shape: shape.name))


def _shape(name: str, schema: Json) -> Shape:
    doc = schema.get("description", "")
    if "properties" not in schema:
        return Shape(name, doc, alias=type_of(schema))
    required = schema.get("required", [])
    fields = (
        Field(key, type_of(inner), key in required, inner.get("default")) for key, inner in schema["properties"].items()
    )
    return Shape(name, doc, tuple(fields))


def type_of(schema: Json) -> Type:  # noqa: PLR0911 - one for each kind
    """Raises ValueError for what no schema of ours says."""
    match schema:
        case {"$ref": str(reference)}:
            return Named(class_name(reference.removeprefix(_PREFIX)))
        case {"const": str(value)}:
            return Choice((value,))
        case {"enum": list(values)} if all(isinstance(value, str) for value in values):
            return Choice(tuple(values))
        case {"anyOf": list(parts)} | {"oneOf": list(parts)}:
            return _one_of([type_of(part) for part in parts])
        case {"type": "string", "format": "date-time"}:
            return Scalar("moment")
        case {"type": "string", "format": "date"}:
            return Scalar("day")
        case {"type": "string", "format": "binary"}:
            return Scalar("bytes")
        case {"type": "array"}:
            return ListOf(type_of(schema.get("items", {})))
        case {"type": "object"}:
            value = schema.get("additionalProperties", {})
            return MapOf(type_of(value) if isinstance(value, dict) else Scalar("any"))
        case {"type": str(kind)} if kind in _SCALARS:
            return Scalar(kind)
        case _ if set(schema) <= {"title", "description", "default"}:
            return Scalar("any")
        case _:
            raise ValueError(f"no type is known for {schema}")


def _one_of(parts: list[Type]) -> Type:
    flat = dict.fromkeys(part for each in parts for part in (each.parts if isinstance(each, OneOf) else (each,)))
    if Scalar("any") in flat:
        return Scalar("any")
    return next(iter(flat)) if len(flat) == 1 else OneOf(tuple(flat))
