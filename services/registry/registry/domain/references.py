"""How models are named: by id, by name, by a version of a name, by an alias of it."""

from dataclasses import dataclass

from contracts.pipeline import LATEST

_AT = "@"


@dataclass(frozen=True)
class Reference:
    """`name` is an id or a name; of a name the `version`, the model that `alias` names, or the newest."""

    name: str
    version: int | None = None
    alias: str | None = None


def read_reference(text: str) -> Reference:
    """`name`, `name@3`, `name@production`, `name@latest`."""
    name, at, which = text.rpartition(_AT)
    if not at or which == LATEST:
        return Reference(name if at else text)
    if which.isascii() and which.isdigit() and len(which) < 10:
        return Reference(name, version=int(which))
    return Reference(name, alias=which)
