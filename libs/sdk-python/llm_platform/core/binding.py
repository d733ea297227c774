"""Calls are described once, and are blocking or awaitable by the client that they are reached through.

A method under `@operation` returns a procedure. On a family of `Client` it is a function that returns what the
procedure comes to, on one of `AsyncClient` a coroutine function; type checkers see which. `@flow` is the same for what
yields.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from llm_platform.core.effects import Flow, Request, Steps
from llm_platform.core.requests import as_json, read, texts
from llm_platform.core.retrying import exchange

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from llm_platform.transport.asynchronous import AsyncRunner, AsyncStream
    from llm_platform.transport.blocking import Runner, Stream

P = ParamSpec("P")
T = TypeVar("T")
PageT = TypeVar("PageT")
R = TypeVar("R", bound="Runner | AsyncRunner")

_PAGE = 100


class Bound(Generic[R]):
    """Something whose calls go through one client."""

    _runner: R

    def _ask(
        self,
        method: str,
        path: str,
        into: "TypeForm[T]",
        *,
        query: Mapping[str, object] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> Steps[T]:
        """One question, its answer read as `into`."""
        body = None if json is None else as_json(json)
        request = Request(method, path, texts(query or {}), headers or {}, body, once)
        return read((yield from exchange(request, self._runner.retries)).body, into)

    def _get(self, path: str, into: "TypeForm[T]", **query: object) -> Steps[T]:
        return self._ask("GET", path, into, query=query)

    def _post(self, path: str, into: "TypeForm[T]", json: object = None, *, once: bool = False) -> Steps[T]:
        """`once`: the platform does it once, however often it comes under one idempotency key."""
        return self._ask("POST", path, into, json=json, once=once)

    def _put(self, path: str, into: "TypeForm[T]", json: object) -> Steps[T]:
        return self._ask("PUT", path, into, json=json)

    def _delete(self, path: str, into: "TypeForm[T]", **query: object) -> Steps[T]:
        return self._ask("DELETE", path, into, query=query)

    def _pages(
        self,
        path: str,
        page: "TypeForm[PageT]",
        items: Callable[[PageT], Sequence[T]],
        limit: int | None,
        **query: object,
    ) -> Flow[T]:
        """The items of a list that comes in pages, asked for as they are needed; at most `limit` in all."""
        offset = 0
        while limit is None or offset < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - offset)
            found = items((yield from self._ask("GET", path, page, query={**query, "limit": size, "offset": offset})))
            yield from found
            offset += len(found)
            if len(found) < size:
                return


class Family(Bound[R]):
    """The calls of one family."""

    def __init__(self, runner: R) -> None:
        self._runner = runner


class operation(Generic[P, T]):  # noqa: N801 - a decorator
    """A call that comes to one answer."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        self.describe = describe
        update_wrapper(cast(Any, self), describe)

    @overload
    def __get__(self, bound: None, owner: type) -> "operation[P, T]": ...
    @overload
    def __get__(self, bound: "Bound[Runner]", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, bound: "Bound[AsyncRunner]", owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, bound: Any, owner: type) -> Any:
        if bound is None:
            return self
        call = partial(_run, bound, self.describe)
        return update_wrapper(call, self.describe)


class flow(Generic[P, T]):  # noqa: N801 - a decorator
    """A call that yields."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        self.describe = describe
        update_wrapper(cast(Any, self), describe)

    @overload
    def __get__(self, bound: None, owner: type) -> "flow[P, T]": ...
    @overload
    def __get__(self, bound: "Bound[Runner]", owner: type) -> "Callable[P, Stream[T]]": ...
    @overload
    def __get__(self, bound: "Bound[AsyncRunner]", owner: type) -> "Callable[P, AsyncStream[T]]": ...
    def __get__(self, bound: Any, owner: type) -> Any:
        if bound is None:
            return self
        call = partial(_iterate, bound, self.describe)
        return update_wrapper(call, self.describe)


class looked_up(Generic[T]):  # noqa: N801 - a decorator
    """A property that asks the platform: read as it is on what came from a `Client`, awaited on an `AsyncClient`'s."""

    def __init__(self, describe: Callable[[Any], Steps[T]]) -> None:
        self.describe = describe
        update_wrapper(cast(Any, self), describe)

    @overload
    def __get__(self, bound: None, owner: type) -> "looked_up[T]": ...
    @overload
    def __get__(self, bound: "Bound[Runner]", owner: type) -> T: ...
    @overload
    def __get__(self, bound: "Bound[AsyncRunner]", owner: type) -> Awaitable[T]: ...
    def __get__(self, bound: Any, owner: type) -> Any:
        return self if bound is None else _run(bound, self.describe)


def _run(bound: Any, describe: Callable[..., Steps[Any]], *args: Any, **kwargs: Any) -> Any:
    return bound._runner.run(describe(bound, *args, **kwargs))


def _iterate(bound: Any, describe: Callable[..., Flow[Any]], *args: Any, **kwargs: Any) -> Any:
    return bound._runner.iterate(describe(bound, *args, **kwargs))
