"""The pages of reference: every call of both SDKs, from their own code."""

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NotRequired, cast, get_args, get_origin, get_type_hints

from llm_platform.client import _Families
from llm_platform.core.binding import flow, operation
from sdk_codegen.python import snake_case
from sdk_codegen.typescript import camel_case

_MADE = "*Made by `make sdk` from the code: do not edit. [docs/sdk.md](sdk.md) tells how to begin.*"
_CLASS = re.compile(r"^export class (\w+)", re.MULTILINE)
_METHOD = re.compile(
    r"(?:  /\*\*(?P<doc>(?:[^*]|\*(?!/))*)\*/\n)?^  (?:async )?(?P<iterates>\*)?(?P<name>[a-z]\w*)"
    r"\((?P<parameters>.*)\): (?P<result>(?:Promise|AsyncGenerator|LogStream|JobWatch|Download).*) \{$",
    re.MULTILINE,
)


def python() -> str:
    """The page of the Python client."""
    families = vars(_Families(cast(Any, SimpleNamespace())))
    lines = ["# The Python SDK: every call", "", _MADE, ""]
    lines += [
        "`AsyncClient` has the same calls: what comes to one answer is awaited, what yields is for `async for`. Calls",
        "raise `ApiError` and the other [errors](../libs/sdk-python/llm_platform/errors.py). A `?` marks fields that",
        "may be left out; what fields hold is in",
        "[`schemas/requests.py`](../libs/sdk-python/llm_platform/schemas/requests.py), what is answered in",
        "[`schemas/answers.py`](../libs/sdk-python/llm_platform/schemas/answers.py). A program that runs as it is:",
        "[`tour.py`](../libs/sdk-python/examples/tour.py).",
        "",
        _contents(name for name in families if not name.startswith("_")),
        "",
    ]
    for name, family in families.items():
        if not name.startswith("_"):
            lines += _family(name, type(family))
    return "\n".join(lines) + "\n"


def _contents(families: Iterable[str]) -> str:
    return " · ".join(f"[{name}](#client{name})" for name in families)


def _family(name: str, family: type) -> Iterator[str]:
    yield from _head(name, family)
    for call, described in calls(family):
        signature = inspect.signature(described.describe)
        told = " ".join((inspect.getdoc(described.describe) or "").split("\n\n")[0].split())
        yield f"| `{call}({_parameters(signature)})` | {_cell(told)} | {_result(described, signature)} |"
    yield ""


def _head(name: str, family: type) -> list[str]:
    about = (inspect.getdoc(inspect.getmodule(family)) or "").split("\n")[0]
    return [f"## client.{name}", "", about, "", "| call | what it does | comes to |", "| --- | --- | --- |"]


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
    in_code = javascript_calls(source)
    lines = ["# The JavaScript SDK: every call", "", _MADE, ""]
    lines += [
        "Types are exported as [`Answers`](../libs/sdk-js/src/schemas/answers.ts) and",
        "[`Requests`](../libs/sdk-js/src/schemas/requests.ts); `Limit` is `{ limit?: number }`, how many of a list",
        "are wanted. What is no `Promise` is for `for await`. Calls throw `ApiError` and the other",
        "[errors](../libs/sdk-js/src/errors.ts). A program that runs as it is:",
        "[`tour.mjs`](../libs/sdk-js/examples/tour.mjs).",
        "",
        _contents(in_code),
        "",
    ]
    for family, methods in in_code.items():
        lines += _head(family, type(families[family]))
        told = {call: inspect.getdoc(member.describe) or "" for call, member in calls(type(families[family]))}
        for found in methods:
            own = " ".join((found["doc"] or "").replace("*", " ").split())
            doc = own or _in_javascript(told.get(snake_case(found["name"]), "").split("\n")[0])
            parameters = re.sub(r"\{[^}]*\.\.\.\w+ \}(?=:)", "options", re.sub(r"\b[AR]\.", "", found["parameters"]))
            result = re.sub(r"\b[AR]\.", "", found["result"])
            lines.append(f"| `{found['name']}({_cell(parameters)})` | {_cell(doc)} | `{_cell(result)}` |")
        lines.append("")
    return "\n".join(lines)


def _in_javascript(text: str) -> str:
    """The names in it as JavaScript has them: `promptVersion: 0` of `prompt_version=0`."""
    return re.sub(r"`[\w.=]+`", lambda found: camel_case(found[0]).replace("=", ": "), text)


def both(source: Path) -> str:
    """The calls of both clients side by side."""
    in_javascript = javascript_calls(source)
    lines = ["# Both SDKs: the same calls", "", _MADE, ""]
    lines += ["A test fails when one of the clients has a call that the other lacks.", ""]
    lines += ["| Python | JavaScript |", "| --- | --- |"]
    for name, family in vars(_Families(cast(Any, SimpleNamespace()))).items():
        spelt = {snake_case(found["name"]): found["name"] for found in in_javascript.get(name, [])}
        own = {call: call for call, _ in calls(type(family))}
        for call in own | spelt:
            lines.append(f"| `{name}.{own.get(call, '–')}` | `{name}.{spelt.get(call, '–')}` |")
    return "\n".join(lines) + "\n"


def javascript_calls(source: Path) -> dict[str, list[re.Match[str]]]:
    """The calls of each family, as its code declares them."""
    code = "\n".join(path.read_text() for path in sorted((source / "families").glob("*.ts")))
    bodies = dict(zip(_CLASS.findall(code), _CLASS.split(code)[2::2], strict=True))
    families = re.findall(r"  readonly (\w+): (\w+);", (source / "client.ts").read_text())
    return {name: list(_METHOD.finditer(bodies[kind])) for name, kind in families}
