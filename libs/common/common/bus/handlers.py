"""What a service answers: one short async function per contract, registered against the contract it answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from contracts.base import ChunkT, FinalT, ReplyT, RequestT, Rpc, Stream

DepsT = TypeVar("DepsT")


@dataclass(frozen=True)
class Answer(Generic[DepsT]):
    """A contract with the function that answers it."""

    contract: Rpc[Any, Any] | Stream[Any, Any, Any]
    function: Callable[[DepsT, Any], Any]


class Handlers(Generic[DepsT]):
    """The table of a service's answers. `DepsT` is what they all need: store, engine, bus.

    ```
    HANDLERS = Handlers[Deps]()

    @HANDLERS.on(registry.GET_DATASET)
    async def get_dataset(deps: Deps, request: GetDataset) -> Dataset: ...
    ```
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer[DepsT]] = {}

    def on(
        self, rpc: Rpc[RequestT, ReplyT]
    ) -> Callable[[Callable[[DepsT, RequestT], Awaitable[ReplyT]]], Callable[[DepsT, RequestT], Awaitable[ReplyT]]]:
        """Registers the function that answers `rpc`."""

        def register(
            function: Callable[[DepsT, RequestT], Awaitable[ReplyT]],
        ) -> Callable[[DepsT, RequestT], Awaitable[ReplyT]]:
            self._add(rpc, function)
            return function

        return register

    def on_stream(
        self, stream: Stream[RequestT, ChunkT, FinalT]
    ) -> Callable[
        [Callable[[DepsT, RequestT], AsyncIterator[ChunkT | list[ChunkT] | FinalT]]],
        Callable[[DepsT, RequestT], AsyncIterator[ChunkT | list[ChunkT] | FinalT]],
    ]:
        """Registers the async generator that answers `stream`: chunks, or lists of those that are there together, and
        the final message last.
        """

        def register(
            function: Callable[[DepsT, RequestT], AsyncIterator[ChunkT | list[ChunkT] | FinalT]],
        ) -> Callable[[DepsT, RequestT], AsyncIterator[ChunkT | list[ChunkT] | FinalT]]:
            self._add(stream, function)
            return function

        return register

    def _add(self, contract: Rpc[Any, Any] | Stream[Any, Any, Any], function: Callable[[DepsT, Any], Any]) -> None:
        if contract.subject in self.answers:
            raise ValueError(f"{contract.subject} is answered twice")
        self.answers[contract.subject] = Answer(contract, function)
