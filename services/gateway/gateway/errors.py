"""How a refusal is told over HTTP: one table from its code to a status, and one form per family of routes.

The forms are those of the five API documents and of OpenAI's API (specs/README.md, point 3).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from contracts.base import Message, RefusalCode, Refused
from gateway.routes.table import Family


@dataclass(frozen=True)
class Outcome:
    """What a refusal's code becomes.

    `pipeline` is document E's error code, `openai` the type and code of OpenAI's form. `temporary` failures may go
    better in `retry_after` seconds; `troubleshooting` are steps for a person (document B).
    """

    status: int
    pipeline: str
    openai: tuple[str, str | None]
    troubleshooting: tuple[str, ...] = ()
    temporary: bool = False
    retry_after: int | None = None


_REQUEST = "invalid_request_error"
_SERVER = "server_error"
_LATER = "Try again in a moment: the failure is temporary."

OUTCOMES: Mapping[RefusalCode, Outcome] = {
    RefusalCode.INVALID: Outcome(
        400, "VALIDATION_ERROR", (_REQUEST, None), ("Correct the fields that `details` names and send again.",)
    ),
    RefusalCode.UNAUTHENTICATED: Outcome(
        401,
        "UNAUTHORIZED",
        (_REQUEST, "invalid_api_key"),
        ("Send a key as `Authorization: Bearer <key>` or `X-API-Key: <key>`.", "Ask an admin whether it was revoked."),
    ),
    RefusalCode.FORBIDDEN: Outcome(
        403, "FORBIDDEN", ("permission_error", "forbidden"), ("Use a key that allows this.",)
    ),
    RefusalCode.NOT_FOUND: Outcome(
        404, "NOT_FOUND", (_REQUEST, "not_found"), ("List what there is and check the name or id.",)
    ),
    RefusalCode.METHOD_NOT_ALLOWED: Outcome(
        405, "METHOD_NOT_ALLOWED", (_REQUEST, "method_not_allowed"), ("Use a method that the `Allow` header names.",)
    ),
    RefusalCode.CONFLICT: Outcome(
        409, "CONFLICT", (_REQUEST, "conflict"), ("Read the resource again: it changed or exists already.",)
    ),
    RefusalCode.TOO_LARGE: Outcome(413, "PAYLOAD_TOO_LARGE", (_REQUEST, "payload_too_large"), ("Send less at once.",)),
    RefusalCode.RATE_LIMITED: Outcome(
        429,
        "RATE_LIMITED",
        ("rate_limit_error", "rate_limit_exceeded"),
        ("Wait for the seconds that `Retry-After` names.",),
        temporary=True,
        retry_after=1,
    ),
    RefusalCode.QUOTA_EXHAUSTED: Outcome(
        429,
        "QUOTA_EXCEEDED",
        ("insufficient_quota", "insufficient_quota"),
        ("Ask an admin for a larger budget, or wait until its period ends.", "Ask for fewer tokens (max_tokens)."),
    ),
    RefusalCode.CONFIG_INVALID: Outcome(
        400, "CONFIG_ERROR", (_REQUEST, "invalid_config"), ("Correct the configuration that the message names.",)
    ),
    RefusalCode.DATASET_INVALID: Outcome(
        400, "DATASET_ERROR", (_REQUEST, "invalid_dataset"), ("Check the file's format, encoding and columns.",)
    ),
    RefusalCode.TRAINING_FAILED: Outcome(
        500, "TRAINING_ERROR", (_SERVER, "training_failed"), ("Read the log of the run.",)
    ),
    RefusalCode.STORAGE_FAILED: Outcome(500, "STORAGE_ERROR", (_SERVER, "storage_failed"), (_LATER,), temporary=True),
    RefusalCode.ENGINE_FAILED: Outcome(
        502,
        "ENGINE_ERROR",
        (_SERVER, "engine_failed"),
        ("Check the engine's own log.", "Try another model."),
    ),
    RefusalCode.ENGINE_UNAVAILABLE: Outcome(
        503,
        "UNAVAILABLE",
        (_SERVER, "engine_unavailable"),
        ("Check that the engine of this model runs.", _LATER),
        temporary=True,
        retry_after=2,
    ),
    RefusalCode.UNAVAILABLE: Outcome(
        503, "UNAVAILABLE", (_SERVER, "unavailable"), (_LATER,), temporary=True, retry_after=2
    ),
    RefusalCode.TIMEOUT: Outcome(
        504,
        "TIMEOUT",
        (_SERVER, "timeout"),
        ("Ask for fewer tokens or send less input.", "A model may take up to a minute to load: try again."),
        temporary=True,
    ),
    RefusalCode.INTERNAL: Outcome(
        500,
        "INTERNAL_ERROR",
        (_SERVER, "internal_error"),
        ("Try again; if it stays, tell an admin the `x-request-id` of this answer.",),
    ),
}


# The forms, one per family


class LlmErrorEntry(Message):
    code: str
    message: str
    details: str | None = None


class LlmErrorBody(Message):
    """Document B's error; `temporary` tells a failure that may pass from one that will not."""

    type: str
    message: str
    details: dict[str, list[str]]
    troubleshooting: list[str]
    temporary: bool


class LlmError(Message):
    """One body that satisfies documents A and B."""

    status: Literal["error"] = "error"
    message: str
    errors: list[LlmErrorEntry]
    error: LlmErrorBody


class TemplateError(Message):
    """As `LlmError`, with `errors` by field: document B's template settings."""

    status: Literal["error"] = "error"
    message: str
    errors: dict[str, list[str]]
    error: LlmErrorBody


class OrchestrationError(Message):
    """Document C's error."""

    error: str


class ServerError(Message):
    """Document D's error."""

    detail: str


class PipelineError(Message):
    """Document E's error: its code, a sentence for a person, and what a program may want to know."""

    error: str
    message: str
    metadata: dict[str, Any]


class OpenAiErrorBody(Message):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAiError(Message):
    """OpenAI's error."""

    error: OpenAiErrorBody


FORMS: Mapping[Family, type[Message]] = {
    Family.LLM: LlmError,
    Family.TEMPLATES: TemplateError,
    Family.ORCHESTRATION: OrchestrationError,
    Family.SERVER: ServerError,
    Family.PIPELINE: PipelineError,
    Family.OPENAI: OpenAiError,
}


@dataclass(frozen=True)
class Told:
    """A refusal ready to be sent."""

    status: int
    body: BaseModel
    headers: Mapping[str, str] = field(default_factory=dict)


def tell(refusal: Refused, family: Family) -> Told:
    """The refusal as callers of `family` know it."""
    outcome = OUTCOMES[refusal.code]
    return Told(outcome.status, _body(refusal, outcome, family), _headers(refusal, outcome))


def _body(refusal: Refused, outcome: Outcome, family: Family) -> Message:
    match family:
        case Family.LLM:
            return _llm(refusal, outcome)
        case Family.TEMPLATES:
            told = _llm(refusal, outcome)
            return TemplateError(message=told.message, errors=told.error.details, error=told.error)
        case Family.ORCHESTRATION:
            return OrchestrationError(error=_sentence(refusal))
        case Family.SERVER:
            return ServerError(detail=_sentence(refusal))
        case Family.OPENAI:
            return openai_error(refusal)
        case Family.PIPELINE:
            return PipelineError(error=outcome.pipeline, message=refusal.message, metadata=refusal.metadata)


def openai_error(refusal: Refused) -> OpenAiError:
    """OpenAI's form, which a stream that fails half-way sends too. `param` is the field to blame.

    A refusal that has a code of OpenAI's own, such as `unsupported_parameter`, says so in its metadata.
    """
    kind, code = OUTCOMES[refusal.code].openai
    errors = _field_errors(refusal)
    param = refusal.metadata.get("param") or (errors[0][0] if errors else None)
    if refusal.code is RefusalCode.NOT_FOUND and param == "model":
        code = "model_not_found"
    code = refusal.metadata.get("code", code)
    return OpenAiError(error=OpenAiErrorBody(message=_sentence(refusal), type=kind, param=param, code=code))


def _llm(refusal: Refused, outcome: Outcome) -> LlmError:
    """A refusal's metadata may say more than its code: document B's `type`, `details`, `troubleshooting` and
    `temporary`, and with `entry` document A's entry of `errors`."""
    code, metadata = refusal.code.value, refusal.metadata
    details: dict[str, list[str]] = {}
    for name, message in _field_errors(refusal):
        details.setdefault(name, []).append(message)
    entries = [
        LlmErrorEntry(code=code, message=message, details=name)
        for name, messages in details.items()
        for message in messages
    ]
    told = refusal.message
    if "entry" in metadata:
        entry = LlmErrorEntry.model_validate({"code": code, **metadata["entry"]})
        entries, told = [entry], entry.details or entry.message
    return LlmError(
        message=refusal.message,
        errors=entries or [LlmErrorEntry(code=code, message=refusal.message)],
        error=LlmErrorBody(
            type=str(metadata.get("type", code)),
            message=told,
            details={**details, **metadata.get("details", {})},
            troubleshooting=list(metadata.get("troubleshooting", outcome.troubleshooting)),
            temporary=bool(metadata.get("temporary", outcome.temporary)),
        ),
    )


def _sentence(refusal: Refused) -> str:
    """For forms with one sentence alone: it also names the fields."""
    errors = _field_errors(refusal)
    if not errors:
        return refusal.message
    return f"{refusal.message}: " + "; ".join(f"{name}: {message}" for name, message in errors)


def _field_errors(refusal: Refused) -> list[tuple[str, str]]:
    errors = refusal.metadata.get("errors")
    if not isinstance(errors, list):
        return []
    return [(str(e.get("field", "")), str(e.get("message", ""))) for e in errors if isinstance(e, dict)]


def _headers(refusal: Refused, outcome: Outcome) -> dict[str, str]:
    headers: dict[str, str] = {}
    if refusal.code is RefusalCode.QUOTA_EXHAUSTED:
        # OpenAI's clients would try again: it costs them time and changes nothing.
        headers["x-should-retry"] = "false"
    later = refusal.metadata.get("retry_after", outcome.retry_after)
    if outcome.status in (429, 503) and later is not None:
        # HTTP knows whole seconds alone, and engines wish for parts of them.
        headers["Retry-After"] = str(max(1, math.ceil(later)))
    if outcome.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="llm-platform"'
    if outcome.status == 405:
        headers["Allow"] = ", ".join(refusal.metadata.get("allowed", []))
    return headers


# Refusals of the edge itself

_TYPE = re.compile(r"(?:constrained-)?(?:str|int)|(?:list|dict)\[.+\]")
"""How pydantic names the types of which a field takes any."""

_MISMATCH = "String should match pattern "
_PATTERNS: Mapping[str, str] = {
    r"\S": "must not be blank",
    r"^\S(.*\S)?$": "must not begin or end with white space",
    r"^[A-Za-z][A-Za-z0-9_-]*$": "must begin with a letter, and have letters, digits, - and _ alone",
    r"^[A-Za-z0-9][A-Za-z0-9_-]*$": "must begin with a letter or digit, and have letters, digits, - and _ alone",
}
"""What contracts' patterns ask for, in words."""


def invalid_fields(errors: list[tuple[str, str]], message: str = "Input validation failed") -> Refused:
    """A request whose fields do not fit, as `(field, what is wrong)`."""
    return Refused(
        RefusalCode.INVALID, message, {"errors": [{"field": name, "message": what} for name, what in errors]}
    )


def invalid_input(error: ValidationError) -> Refused:
    """What pydantic found wrong, in the documents' words."""
    entries = error.errors(include_url=False, include_context=False, include_input=False)
    # Of a field that takes several types, each says what it misses, some of them the same.
    errors = dict.fromkeys((_place(entry["loc"]), _wording(entry["type"], entry["msg"])) for entry in entries)
    return invalid_fields(list(errors))


def _place(parts: tuple[int | str, ...]) -> str:
    """The field as its caller knows it: without the type, where it takes several."""
    return ".".join(str(part) for part in parts if not _TYPE.fullmatch(str(part))) or "body"


def _wording(kind: str, message: str) -> str:
    match kind:
        case "missing":
            return "field required"
        case "extra_forbidden":
            return "unknown field"
        case "string_pattern_mismatch":
            return _PATTERNS.get(message.removeprefix(_MISMATCH).strip("'"), message)
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be an object"
        case _:
            return message.removeprefix("Value error, ")
