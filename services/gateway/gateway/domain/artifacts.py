"""The files that a job's agents made: which there are, by what their outputs say of where they lie."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from contracts.pipeline import AgentOutput

_SCHEME = "s3://"
_PATH = re.compile(r"s3://[^/\s]+/(?!(?:.*/)?\.\.(?:/|$))\S+")
"""Texts that agents quote may begin like paths, and be none."""
_READ = {"data_path", "rows_path"}
"""What an agent read, which another made."""


def places(outputs: Mapping[str, AgentOutput]) -> list[tuple[str, str]]:
    """Each agent with a path in its output, of an object or of a prefix of objects; in order, and each once."""
    found = {
        (agent, path): None
        for agent, output in sorted(outputs.items())
        for path in _paths(output.model_dump(mode="json", exclude=_READ))
    }
    return list(found)


def name_of(agent: str, path: str, key: str) -> str | None:
    """The name of the object `key` that lies at `path` or below; None where it does not.

    It is the agent's name, the last part of the path, and what follows that in the key.
    """
    place = path.removeprefix(_SCHEME).partition("/")[2].rstrip("/")
    if key != place and not key.startswith(place + "/"):
        return None
    return f"{agent}/{place.rpartition('/')[2]}{key[len(place) :]}"


def _paths(value: Any) -> Iterator[str]:
    if isinstance(value, str) and _PATH.fullmatch(value):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _paths(item)
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item)
