"""Requests and answers between Python's values and what is sent."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from llm_platform.core.effects import Body
from llm_platform.errors import UnexpectedAnswer

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


def at(base: str, *parts: object, slashes: bool = False) -> str:
    """The path of something below `base`. Raises ValueError for an id that is empty or None."""
    for part in parts:
        if part is None or not str(part):
            raise ValueError(f"The id of something below {base} is missing: {part!r}")
    return "/".join([base, *(quote(str(part), safe="/" if slashes else "") for part in parts)])


def texts(query: Mapping[str, object]) -> dict[str, str]:
    """A query as it is sent; what is None is left out."""
    return {name: _text(value) for name, value in query.items() if value is not None}


def as_json(value: object) -> Body:
    content = _ANYTHING.dump_json(value, by_alias=True)
    return Body("application/json", content, len(content))


def read(text: bytes | str, into: "TypeForm[T]") -> T:
    """JSON as `into`. Raises `UnexpectedAnswer`."""
    try:
        return cast(T, _adapter(cast(Any, into)).validate_json(text))
    except ValidationError as error:
        raise UnexpectedAnswer(f"The platform's answer is not what this client knows: {error}") from error


@lru_cache(maxsize=512)
def _adapter(into: Any) -> TypeAdapter[Any]:
    return TypeAdapter(into)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
