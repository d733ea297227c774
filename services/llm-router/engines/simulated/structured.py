"""JSON of a given schema without a language model: the least that fits, with texts that say so."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import jsonschema_rs

from common.encoding import as_json
from engines.openai_wire import ApiError, ChatCompletionRequest, Json

_DEEPEST = 24
_FULL_DEPTH = 6
"""From here on only what a schema requires is filled in, so that one which refers to itself comes to an end."""
_OF_FORMAT: Mapping[str, str] = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "simulated@example.com",
    "uri": "https://example.com/simulated",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}


def instance(schema: Any, root: Json | None = None, name: str = "value", depth: int = 0) -> Any:
    """A value of `schema`. Keywords beyond the usual ones, such as `pattern`, may go unheeded.

    Raises ApiError (400) for what is no schema, and for one that leads nowhere or has no end.
    """
    if root is None:
        _check(schema)
    if schema is True or schema == {}:
        return f"[simulated] {name}"
    if not isinstance(schema, dict) or depth > _DEEPEST:
        raise ApiError(400, "The JSON schema has no value that could be simulated.", param="response_format")
    root = schema if root is None else root
    if "$ref" in schema:
        return instance(_referred(schema["$ref"], root), root, name, depth + 1)
    if (given := _given(schema)) is not None:
        return given[0]
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return instance(alternatives[0], root, name, depth + 1)
    if schema.get("allOf"):
        return instance(_together(schema, root), root, name, depth + 1)
    return _of_type(_type_of(schema), schema, root, name, depth)


def _check(schema: Any) -> None:
    """Raises ApiError (400) for what no engine would take either."""
    try:
        jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions(), offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        why = str(error).splitlines()[0]
        raise ApiError(400, f"The JSON schema is not valid: {why}", param="response_format") from None


def _given(schema: Json) -> list[Any] | None:
    """Values that a schema names itself, the first of which is as good as any."""
    for name in ("const", "default"):
        if name in schema:
            return [schema[name]]
    return schema.get("enum") or None


def forced_call(asked: ChatCompletionRequest) -> Json | None:
    """The tool call that a request insists on; None where a text is as good an answer."""
    tools = {tool.function.name: tool.function for tool in asked.tools or ()}
    if asked.tool_choice == "required" and tools:
        function = next(iter(tools.values()))
    elif isinstance(asked.tool_choice, dict):
        name = (asked.tool_choice.get("function") or {}).get("name")
        if name not in tools:
            raise ApiError(400, f"There is no tool named {name!r}.", param="tool_choice")
        function = tools[name]
    else:
        return None
    arguments = instance(function.parameters or {"type": "object"})
    return {
        "id": f"call_{uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": function.name, "arguments": as_json(arguments).decode()},
    }


def _type_of(schema: Json) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((one for one in kind if one != "null"), "null")
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _of_type(kind: str, schema: Json, root: Json, name: str, depth: int) -> Any:
    match kind:
        case "object":
            required = schema.get("required") or []
            properties = schema.get("properties") or {}
            wanted = properties if depth < _FULL_DEPTH else {key: properties.get(key, True) for key in required}
            missing = {key: True for key in required if key not in wanted}
            return {key: instance(value, root, key, depth + 1) for key, value in {**wanted, **missing}.items()}
        case "array":
            count = max(schema.get("minItems", 0), 1 if depth < _FULL_DEPTH else 0)
            first = list(schema.get("prefixItems") or ())
            rest = [schema.get("items", True)] * max(count - len(first), 0)
            return [instance(item, root, name, depth + 1) for item in first + rest]
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return _text(schema, name)


def _number(schema: Json, *, whole: bool) -> float:
    least = schema.get("minimum")
    if least is None and (above := schema.get("exclusiveMinimum")) is not None:
        least = above + 1
    if least is None:
        most = schema.get("maximum", schema.get("exclusiveMaximum", 1) - 1)
        least = min(0, most)
    step = schema.get("multipleOf")
    if step:
        least = -(-least // step) * step
    return int(least) if whole else least


def _text(schema: Json, name: str) -> str:
    text = _OF_FORMAT.get(schema.get("format", ""), f"[simulated] {name}")
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _referred(reference: Any, root: Json) -> Any:
    """What a reference within the schema means; none leads out of it."""
    found: Any = root
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise ApiError(400, f"The JSON schema refers to {reference!r}, outside of itself.", param="response_format")
    for step in filter(None, reference[1:].split("/")):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def _together(schema: Json, root: Json) -> Json:
    """All parts of `allOf` as one schema."""
    whole: Json = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        resolved = _referred(part["$ref"], root) if isinstance(part, dict) and "$ref" in part else part
        for key, value in (resolved or {}).items():
            known = whole.get(key)
            if isinstance(known, dict) and isinstance(value, dict):
                whole[key] = known | value
            elif isinstance(known, list) and isinstance(value, list):
                whole[key] = known + value
            else:
                whole[key] = value
    return whole
