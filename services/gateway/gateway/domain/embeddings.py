"""OpenAI's embeddings API: its request as questions of the platform, and the vectors in its forms.

Source: https://platform.openai.com/docs/api-reference/embeddings.
"""

import base64
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from contracts.base import Message
from contracts.router import Embed, Embeddings
from gateway.domain.sampling import fingerprint

_AT_ONCE = 256
"""Inputs of one question over the bus: their vectors, of up to 4096 numbers each, fit one message."""

Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[int], Field(min_length=1)]


class EmbeddingsRequest(Message):
    """Texts, or the ids of their tokens. Parameters that are not named here go to the engine as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    model: str = Field(min_length=1, max_length=300)
    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=2048)]
        | Tokens
        | Annotated[list[Tokens], Field(min_length=1, max_length=2048)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)

    def questions(self) -> Iterator[Embed]:
        """The question, in parts where it is a long one."""
        given: Any = self.input
        several = isinstance(given, list) and not isinstance(given[0], int)
        inputs: list[Any] = given if several else [given]
        for start in range(0, len(inputs), _AT_ONCE):
            yield Embed(
                model=self.model,
                inputs=inputs[start : start + _AT_ONCE],
                dimensions=self.dimensions,
                extra=self.model_extra or {},
            )


class Embedding(Message):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(Message):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Message):
    """The vectors. `system_fingerprint` names the engine that made them, and says if it was a simulated one."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
    system_fingerprint: str


def embedding_list(asked: EmbeddingsRequest, replies: Sequence[Embeddings]) -> EmbeddingList:
    first = replies[0]
    vectors = [vector for reply in replies for vector in reply.vectors]
    shaped: Iterable[Any] = vectors if asked.encoding_format == "base64" else map(_numbers, vectors)
    tokens = sum(reply.usage.prompt_tokens for reply in replies)
    return EmbeddingList(
        object="list",
        data=[
            Embedding.model_construct(object="embedding", index=index, embedding=embedding)
            for index, embedding in enumerate(shaped)
        ],
        model=first.model,
        usage=EmbeddingsUsage(prompt_tokens=tokens, total_tokens=tokens),
        system_fingerprint=fingerprint(first),
    )


def _numbers(vector: str) -> list[float]:
    data = base64.b64decode(vector)
    return list(struct.unpack(f"<{len(data) // 4}f", data))
