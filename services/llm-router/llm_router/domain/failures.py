"""Why a completion failed, told as document B asks: a type, whether it passes by itself, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.base import RefusalCode, Refused


class FailureKind(StrEnum):
    """The `type` of a failure, as callers see it."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota_exhausted"
    AUTHENTICATION = "authentication"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_DISABLED = "model_disabled"
    MODEL_LOAD = "model_load"
    STORAGE = "storage"
    CONTEXT_LENGTH = "context_length_exceeded"
    INVALID_REQUEST = "invalid_request"
    ENGINE_ERROR = "engine_error"
    INVALID_ANSWER = "invalid_answer"
    FORMAT = "format_not_kept"


@dataclass(frozen=True)
class Trait:
    """What holds for every failure of a kind.

    `temporary`: the same request may succeed later. `retryable`: the router may try again itself, because no token was
    made or none was seen. `movable`: another engine may do better. `breaks`: it counts against the engine's circuit
    breaker. `answered`: it shows that the engine works, if only to refuse. `final`: no other model does better either.
    """

    code: RefusalCode
    steps: tuple[str, ...]
    temporary: bool = False
    retryable: bool = False
    movable: bool = False
    breaks: bool = False
    answered: bool = False
    final: bool = False


TRAITS: dict[FailureKind, Trait] = {
    FailureKind.TIMEOUT: Trait(
        RefusalCode.TIMEOUT,
        (
            "Try again: a model that is loaded for the first time answers faster afterwards.",
            "Ask for fewer tokens (max_tokens), or stream the answer.",
            "See whether the engine is busy: GET /api/v1/llm/engines.",
        ),
        temporary=True,
        movable=True,
    ),
    FailureKind.CONNECTION: Trait(
        RefusalCode.ENGINE_UNAVAILABLE,
        (
            "Try again in a few seconds: an engine that died is started again.",
            "Check that the engine runs and that its api_base is right: GET /api/v1/llm/config.",
        ),
        temporary=True,
        retryable=True,
        breaks=True,
    ),
    FailureKind.OVERLOADED: Trait(
        RefusalCode.ENGINE_UNAVAILABLE,
        ("Try again after retry_after seconds.", "Add an engine that serves this model, or raise its concurrency."),
        temporary=True,
        retryable=True,
    ),
    FailureKind.RATE_LIMITED: Trait(
        RefusalCode.RATE_LIMITED,
        ("Try again after retry_after seconds.", "Ask the provider for a higher rate limit."),
        temporary=True,
        retryable=True,
        answered=True,
    ),
    FailureKind.QUOTA: Trait(
        RefusalCode.RATE_LIMITED,
        ("Check the plan and the billing of the account behind the provider's token.",),
        movable=True,
        answered=True,
    ),
    FailureKind.AUTHENTICATION: Trait(
        RefusalCode.ENGINE_FAILED,
        ("Set a valid auth_token for the engine: PUT /api/v1/llm/engines/{engine_id}, or POST /api/v1/llm/config.",),
        movable=True,
        answered=True,
    ),
    FailureKind.MODEL_NOT_FOUND: Trait(
        RefusalCode.NOT_FOUND,
        ("List the models that can be asked: GET /api/v1/llm/models.", "Check the spelling of the model's name."),
        answered=True,
    ),
    FailureKind.MODEL_DISABLED: Trait(
        RefusalCode.FORBIDDEN,
        (
            "Ask another model: GET /api/v1/llm/models lists them.",
            "An administrator enables it again: PUT /api/v1/llm/models/{model}/settings.",
        ),
    ),
    FailureKind.MODEL_LOAD: Trait(
        RefusalCode.ENGINE_FAILED,
        (
            "Check that the model has an adapter export whose files are complete.",
            "Check that its base model is the one that the engine serves.",
            "vLLM takes plain LoRA alone, up to its --max-lora-rank: no DoRA, no bias, no modules_to_save.",
        ),
        movable=True,
    ),
    FailureKind.STORAGE: Trait(
        RefusalCode.ENGINE_UNAVAILABLE,
        ("Try again in a few seconds.", "Check that the object store answers: GET /health."),
        temporary=True,
        retryable=True,
    ),
    FailureKind.CONTEXT_LENGTH: Trait(
        RefusalCode.INVALID,
        ("Shorten the prompt or ask for fewer tokens.", "Use a model with a longer context."),
        answered=True,
    ),
    FailureKind.INVALID_REQUEST: Trait(
        RefusalCode.INVALID,
        ("Correct the parameter that the message names.",),
        answered=True,
        final=True,
    ),
    FailureKind.ENGINE_ERROR: Trait(
        RefusalCode.ENGINE_FAILED,
        ("Try again: another engine may answer.", "Look into the engine's log."),
        temporary=True,
        retryable=True,
        breaks=True,
    ),
    FailureKind.FORMAT: Trait(
        RefusalCode.ENGINE_FAILED,
        (
            "Ask for more tokens (max_tokens), so that the JSON is not cut off.",
            "Use a model of an engine that keeps to response_format by itself, or a simpler schema.",
        ),
        answered=True,
    ),
    FailureKind.INVALID_ANSWER: Trait(
        RefusalCode.ENGINE_FAILED,
        ("Check that api_base is the root of the API of the engine's type; OpenAI's mostly ends in /v1.",),
        movable=True,
        breaks=True,
    ),
}


class EngineFailure(Refused):
    """A completion that could not be made. `retry_after` in seconds is the engine's own wish, if it had one."""

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        engine: str | None = None,
        retry_after: float | None = None,
        available: Sequence[str] | None = None,
    ) -> None:
        trait = TRAITS[kind]
        metadata: dict[str, Any] = {
            "type": kind.value,
            "temporary": trait.temporary,
            "troubleshooting": list(trait.steps),
        }
        optional = {"engine": engine, "retry_after": retry_after, "available": available}
        metadata |= {key: value for key, value in optional.items() if value is not None}
        super().__init__(trait.code, message, metadata)
        self.kind = kind
        self.trait = trait
        self.retry_after = retry_after


def model_disabled(name: str) -> EngineFailure:
    return EngineFailure(FailureKind.MODEL_DISABLED, f"The model {name!r} is disabled")


_NAMES_SHOWN = 20


def model_not_found(name: str, available: Sequence[str]) -> EngineFailure:
    """Names what can be asked for instead, up to a bound."""
    shown = list(available[:_NAMES_SHOWN])
    listed = ", ".join(shown) if shown else "none at the moment"
    rest = f" and {len(available) - len(shown)} more" if len(available) > len(shown) else ""
    return EngineFailure(
        FailureKind.MODEL_NOT_FOUND, f"No engine serves a model {name!r}. Available: {listed}{rest}", available=shown
    )
