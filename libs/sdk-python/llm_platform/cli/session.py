"""What every command has at hand: the client and where it writes to."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import typer

from llm_platform.cli.output import Output, console
from llm_platform.client import Client


@dataclass
class Session:
    """What was said before the command's name. The client is made when a command asks for it."""

    url: str | None = None
    key: str | None = field(default=None, repr=False)
    as_json: bool = False

    @cached_property
    def client(self) -> Client:
        return Client(self.url, self.key)

    @cached_property
    def output(self) -> Output:
        return Output(console(stderr=False), console(stderr=True), self.as_json)


def session(context: typer.Context) -> Session:
    return cast(Session, context.obj)


def options(pairs: list[str]) -> dict[str, dict[str, Any]]:
    """`training.epochs=3` as `{"training": {"epochs": 3}}`. Raises `typer.BadParameter`."""
    from json import loads  # noqa: PLC0415 - beside its use

    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        agent, dot, option = name.partition(".")
        if not (equals and dot and agent and option):
            raise typer.BadParameter(f"{pair!r} is not agent.option=value")
        try:
            value = loads(text)
        except ValueError:
            value = text
        found.setdefault(agent, {})[option] = value
    return found
