"""The pages of reference: every call of both SDKs, from their own code."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NotRequired, cast, get_args, get_origin, get_type_hints

from llm_platform.client import _Families
from llm_platform.core.binding import flow, operation
from sdk_codegen.python import snake_case

_MADE = "*Made by `make sdk` from the code: do not edit. [docs/sdk.md](sdk.md) tells how to begin.*"
_CLASS = re.compile(r"^export class (\w+)", re.MULTILINE)
_METHOD = re.compile(
    r"(?:  /\*\*(?P<doc>(?:[^*]|\*(?!/))*)\*/\n)?^  (?:async )?(?P<iterates>\*)?(?P<name>[a-z]\w*)"
    r"\((?P<parameters>.*)\): (?P<result>(?:Promise|AsyncGenerator|LogStream).*) \{$",
    re.MULTILINE,
)


def python() -> str:
    """The page of the Python client."""
    families = vars(_Families(cast(Any, SimpleNamespace())))
    lines = ["# The Python SDK: every call", "", _MADE, ""]
    lines += [
        "`AsyncClient` has the same calls: what comes to one answer is awaited, what yields is for `async for`. Calls",
        "raise `ApiError` and the other errors of `llm_platform.errors`. A `?` marks fields that may be left out.",
        "",
    ]
    for name, family in families.items():
        if not name.startswith("_"):
            lines += _family(name, type(family))
    return "\n".join(lines) + "\n"


def _family(name: str, family: type) -> Iterator[str]:
    module = inspect.getmodule(family)
    yield from (f"## client.{name}", "", (inspect.getdoc(module) or "").split("\n")[0], "")
    yield from ("| call | what it does | comes to |", "| --- | --- | --- |")
    for call, described in calls(family):
        signature = inspect.signature(described.describe)
        told = " ".join((inspect.getdoc(described.describe) or "").split("\n\n")[0].split())
        yield f"| `{call}({_parameters(signature)})` | {_cell(told)} | {_result(described, signature)} |"
    yield ""


def calls(family: type) -> Iterator[tuple[str, "operation[..., Any] | flow[..., Any]"]]:
    """The calls of a family, in the order in which they are written."""
    for kind in reversed(family.__mro__):
        for name, member in vars(kind).items():
            if isinstance(member, operation | flow):
                yield name, member


def _parameters(signature: inspect.Signature) -> str:
    parts: list[str] = []
    for parameter in list(signature.parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            parts += _fields(get_args(parameter.annotation)[0])
            continue
        if parameter.kind is parameter.KEYWORD_ONLY:
            parts.append(f"{parameter.name}={parameter.default!r}")
        else:
            parts.append(
                parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
            )
    return ", ".join(parts)


def _fields(described: Any) -> list[str]:
    hints = get_type_hints(described, include_extras=True)
    return [f"{name}=?" if get_origin(hint) is NotRequired else f"{name}=" for name, hint in hints.items()]


def _result(described: object, signature: inspect.Signature) -> str:
    yielded, _, returned = get_args(signature.return_annotation)
    if isinstance(described, flow):
        # Effects come first of what a flow yields.
        return f"yields `{_named(get_args(yielded)[1:])}`"
    return f"`{_named(returned)}`"


def _named(kind: Any) -> str:
    if isinstance(kind, tuple):
        return " or ".join(_named(part) for part in kind)
    text = inspect.formatannotation(kind)
    return re.sub(r"[\w.]*\.(\w+)", r"\1", text).replace("[R]", "").replace(" | ", " or ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def javascript(source: Path) -> str:
    """The page of the JavaScript client. What its code does not say of a call, the Python client's says."""
    families = vars(_Families(cast(Any, SimpleNamespace())))
    lines = ["# The JavaScript SDK: every call", "", _MADE, ""]
    lines += [
        "Types are exported as `Answers` and `Requests`. Calls throw `ApiError` and the other errors of the package.",
        "",
    ]
    for family, methods in javascript_calls(source).items():
        lines += [f"## client.{family}", "", "| call | what it does | comes to |", "| --- | --- | --- |"]
        told = {call: inspect.getdoc(member.describe) or "" for call, member in calls(type(families[family]))}
        for found in methods:
            own = " ".join((found["doc"] or "").replace("*", " ").split())
            doc = own or told.get(snake_case(found["name"]), "").split("\n")[0]
            parameters = re.sub(r"\b[AR]\.", "", found["parameters"])
            result = re.sub(r"\b[AR]\.", "", found["result"])
            lines.append(f"| `{found['name']}({_cell(parameters)})` | {_cell(doc)} | `{_cell(result)}` |")
        lines.append("")
    return "\n".join(lines)


def javascript_calls(source: Path) -> dict[str, list[re.Match[str]]]:
    """The calls of each family, as its code declares them."""
    code = "\n".join(path.read_text() for path in sorted((source / "families").glob("*.ts")))
    bodies = dict(zip(_CLASS.findall(code), _CLASS.split(code)[2::2], strict=True))
    families = re.findall(r"  readonly (\w+): (\w+);", (source / "client.ts").read_text())
    return {name: list(_METHOD.finditer(bodies[kind])) for name, kind in families}
