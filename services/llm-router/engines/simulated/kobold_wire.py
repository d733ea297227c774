"""KoboldAI's HTTP API, with KoboldCpp's `extra` endpoints, as far as a simulated engine speaks it.

Source: https://lite.koboldai.net/koboldcpp_api
"""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from engines.openai_wire import FinishReason

API_VERSION = "1.2.5"
"""Version of KoboldAI's API that is spoken."""

KOBOLDCPP = {"result": "KoboldCpp", "version": "1.82.4"}
"""The `extra` endpoints that are spoken: clients look for this name before they use the streaming one."""

StopSequence = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class GenerateRequest(BaseModel):
    """A text to continue. The sampling parameters of the API are taken and have no effect here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    prompt: str
    max_length: int = Field(default=100, ge=1, le=100_000)
    stop_sequence: list[StopSequence] | None = Field(default=None, max_length=64)
    genkey: str = ""
    """Names this generation, so that `/api/extra/abort` can end it."""


class AbortRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    genkey: str = ""


def result(text: str, reason: FinishReason, prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "results": [
            {
                "text": text,
                "finish_reason": reason,
                "logprobs": None,
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
            }
        ]
    }


def frames(tokens: Sequence[str], reason: FinishReason | None = None) -> bytes:
    """One event for each token; `reason` is given with the last one."""
    return b"".join(
        b"event: message\ndata: " + orjson.dumps({"token": token, "finish_reason": reason}) + b"\n\n"
        for token in tokens
    )


def error_body(message: str, kind: str) -> dict[str, Any]:
    return {"detail": {"msg": message, "type": kind}}
