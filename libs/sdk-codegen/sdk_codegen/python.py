"""Types for Python: pydantic models of what is answered, typed dictionaries of what may be asked for."""

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence

from sdk_codegen.reading import Choice, Description, Field, ListOf, MapOf, Named, OneOf, Scalar, Shape, Type

_MADE = "Made by `make sdk` from the API's description: do not edit."
_DOC_WIDTH = 110
_ANSWERED: Mapping[str, str] = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "any": "Any",
    "moment": "datetime",
    "day": "date",
    "bytes": "bytes",
}
_ASKED: Mapping[str, str] = {**_ANSWERED, "moment": "datetime | str", "day": "date | str"}


def answers(description: Description) -> str:
    """The module of models."""
    head = (
        "from datetime import date, datetime",
        "from typing import Annotated, Any, Literal, TypeAlias\n",
        "from pydantic import Field\n",
        "from llm_platform.schemas.record import OrNewer, Record",
    )
    return _module("What the platform answers.", head, description.answers, "Record", _model_field, _answered)


def requests(description: Description) -> str:
    """The module of typed dictionaries."""
    head = ("from datetime import date, datetime", "from typing import Any, Literal, NotRequired, TypedDict")
    return _module("What the platform may be asked.", head, description.requests, "TypedDict", _item, _asked)


def _module(
    title: str,
    head: Sequence[str],
    shapes: Sequence[Shape],
    base: str,
    field: Callable[[Field], str],
    spell: Callable[[Type], str],
) -> str:
    lines = [f'"""{title} {_MADE}"""', "\nfrom __future__ import annotations\n", *head]
    for shape in shapes:
        if shape.alias is None:
            lines += [
                f"class {shape.name}({base}):",
                *_docstring(shape),
                *(f"    {field(each)}" for each in shape.fields),
            ]
    lines += [f"{shape.name}: TypeAlias = {spell(shape.alias)}" for shape in shapes if shape.alias is not None]
    return _formatted("\n".join(lines))


def _formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "120", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def _docstring(shape: Shape) -> Iterator[str]:
    paragraphs = shape.doc.replace("\\", "\\\\").split("\n\n") if shape.doc else []
    lines = "\n\n".join(textwrap.fill(paragraph, _DOC_WIDTH) for paragraph in paragraphs).split("\n")
    if shape.doc:
        end = "" if len(lines) == 1 else "\n    "
        yield f'    """{lines[0]}' + "".join(f"\n    {line}" if line else "\n" for line in lines[1:]) + f'{end}"""\n'
    elif not shape.fields:
        yield "    pass"


def _model_field(field: Field) -> str:
    spelt, name = _answered(field.type), snake_case(field.name)
    options = [] if name == field.name else [f"alias={json.dumps(field.name)}"]
    if not field.required:
        default = None if isinstance(field.default, dict) else field.default
        if default is None and not spelt.endswith("None") and spelt != "Any":
            spelt = f"{spelt} | None"
        if not options:
            return f"{name}: {spelt} = {default!r}"
        options = [f"default={default!r}", *options]
    return f"{name}: {spelt} = Field({', '.join(options)})" if options else f"{name}: {spelt}"


def snake_case(name: str) -> str:
    """`runId` as Python writes it."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


def _item(field: Field) -> str:
    spelt = _asked(field.type)
    return f"{field.name}: {spelt if field.required else f'NotRequired[{spelt}]'}"


def _answered(kind: Type) -> str:
    if isinstance(kind, Choice):
        return f"Annotated[{_literal(kind)}, OrNewer]"
    return _spelt(kind, _ANSWERED, _answered)


def _asked(kind: Type) -> str:
    if isinstance(kind, Choice):
        return _literal(kind)
    return _spelt(kind, _ASKED, _asked)


def _spelt(kind: Type, scalars: Mapping[str, str], spell: Callable[[Type], str]) -> str:
    match kind:
        case Scalar(name):
            return scalars[name]
        case Named(name):
            return name
        case ListOf(item):
            return f"list[{spell(item)}]"
        case MapOf(value):
            return f"dict[str, {spell(value)}]"
        case OneOf(parts):
            # None last, as people write it.
            return " | ".join(sorted(dict.fromkeys(spell(part) for part in parts), key=lambda part: part == "None"))
        case _:
            raise ValueError(f"{kind} has no spelling")


def _literal(choice: Choice) -> str:
    return f"Literal[{', '.join(json.dumps(value) for value in choice.values)}]"
