"""What the router asks of an engine, whichever API it speaks."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts.router import ChatDelta, Embed, Usage
from llm_router.domain.engines import Answer, KeepsFormat, ModelCard, Question, Vectors

Pieces = list[ChatDelta]
"""Pieces of an answer that came together: at least one."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds: to connect, without a byte of a stream that has begun, to list models, to load an adapter."""

    connect: float = 3.0
    silence: float = 120.0
    check: float = 3.0
    load: float = 60.0


class Engine(Protocol):
    """An engine. Every method raises `EngineFailure`, which says of what kind the failure is.

    `model` is the engine's own name for what is asked; the name in the question is the caller's.
    """

    @property
    def keeps_format(self) -> KeepsFormat:
        """Whether it keeps to a chat's `response_format` by itself."""
        ...

    async def complete(self, question: Question, model: str) -> Answer:
        """A whole answer, for as long as it takes: the caller bounds the time."""
        ...

    def stream(self, question: Question, model: str) -> AsyncGenerator[Pieces | Answer, None]:
        """Pieces as they come, those that came together in one list, and the whole answer last. Closing it stops the
        generation at once.

        An answer that breaks off raises; it never looks like a finished one.
        """
        ...

    async def embed(self, asked: Embed, model: str) -> Vectors:
        """The vectors of the inputs, in their order."""
        ...

    async def count(self, question: Question, output: str, model: str) -> Usage | None:
        """The tokens of a question and its answer by the model's own tokenizer; None where the engine offers none."""
        ...

    async def models(self) -> list[ModelCard]:
        """The models it serves now. It doubles as the health check: an engine that lists its models is up."""
        ...

    async def load_adapter(self, name: str, path: Path, base_model: str) -> None:
        """Makes a LoRA adapter askable under `name`; one that is loaded already is fine."""
        ...

    async def unload_adapter(self, name: str) -> None:
        """Forgets an adapter; one that is not loaded is fine."""
        ...

    async def close(self) -> None: ...
