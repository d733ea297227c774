"""The answer of OpenAI's embeddings API."""

import base64
import struct
from collections.abc import Iterable, Sequence

import orjson

from engines.openai_wire import EmbeddingRequest, Json


def embeddings(
    asked: EmbeddingRequest, vectors: Iterable[Sequence[float]], counts: Json, fingerprint: str | None = None
) -> bytes:
    """The body, with vectors in the encoding that was asked for. `fingerprint` says what made them, as in chats."""
    encode = _base64 if asked.encoding_format == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)
    ]
    body = {"object": "list", "data": data, "model": asked.model, "usage": counts, "system_fingerprint": fingerprint}
    return orjson.dumps(body)


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
