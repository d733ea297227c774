"""What is kept of a completion, and the reply a caller gets."""

import json
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Literal, NamedTuple

from contracts.base import rfc3339
from contracts.router import Chat, ChatReply, CountedBy, Embed, Interaction, Usage, usd_text
from llm_router.domain.engines import Answer, Asked

Status = Literal["completed", "failed", "cancelled"]

TEXT_LIMIT = 500_000
"""Characters of input and of output that are kept: both fit a bus message of 8 MiB, however they are encoded."""
_EXTRA_LIMIT = 20_000
_TEXTS = {"model", "messages", "prompt", "inputs", "route", "extra"}


class Outcome(NamedTuple):
    """How a completion went. Durations in seconds, `cost` in USD; `output` is what there was when it ended.

    `error_type` is document B's type of a failure; `usage` is None where no tokens were used.
    """

    status: Status
    model: str
    engine: str | None
    output: str
    duration: float
    error: str | None = None
    error_type: str | None = None
    usage: Usage | None = None
    counted_by: CountedBy | None = None
    cost: Decimal | None = None
    time_to_first_token: float | None = None


def interaction(
    asked: Asked,
    outcome: Outcome,
    *,
    interaction_id: str,
    principal: str | None,
    trace_id: str | None,
    created_at: datetime,
) -> Interaction:
    """The record of one completion, in a form that Postgres can store."""
    usage = outcome.usage
    return Interaction(
        interaction_id=interaction_id,
        route=asked.route,
        model=storable(outcome.model),
        requested_model=storable(asked.model),
        engine=outcome.engine,
        input_text=storable(input_text(asked)),
        output_text=storable(outcome.output),
        parameters=parameters(asked),
        status=outcome.status,
        error_message=storable(outcome.error) if outcome.error is not None else None,
        error_type=outcome.error_type,
        prompt_tokens=usage.prompt_tokens if usage is not None else 0,
        completion_tokens=usage.completion_tokens if usage is not None else 0,
        counted_by=outcome.counted_by,
        cost=usd_text(outcome.cost) if outcome.cost is not None else None,
        duration=outcome.duration,
        time_to_first_token=outcome.time_to_first_token,
        principal=principal,
        trace_id=trace_id,
        created_at=rfc3339(created_at),
    )


def input_text(asked: Asked) -> str:
    """A single text as it is; a conversation, several texts or token ids as the JSON they were asked as."""
    if isinstance(asked, Chat):
        if len(asked.messages) == 1 and isinstance(asked.messages[0].content, str):
            return asked.messages[0].content
        return _json([m.model_dump(exclude_none=True) for m in asked.messages])
    given = asked.inputs if isinstance(asked, Embed) else asked.prompt
    if isinstance(given, list) and len(given) == 1:
        given = given[0]  # type: ignore[assignment]
    return given if isinstance(given, str) else _json(given)


def output_text(answer: Answer) -> str:
    """The text of the one choice as it is; several as a JSON list."""
    if not answer.others:
        return answer.content
    return _json([answer.content, *(choice.content for choice in answer.others)])


def parameters(asked: Asked) -> dict[str, Any]:
    """What the caller set, without texts. Large ones (tools, schemas) are kept by name alone."""
    given = {name: value for name in _parameter_names(type(asked)) if (value := getattr(asked, name)) is not None}
    if not asked.extra and all(isinstance(value, int | float) for value in given.values()):
        return given
    encoded = json.dumps(given | asked.extra)
    if len(encoded) > _EXTRA_LIMIT:
        given.pop("response_format", None)
        encoded = json.dumps(given | {"extra_fields": sorted(asked.extra)})
    # The escape of NUL is the one thing in JSON that Postgres does not store.
    kept: dict[str, Any] = json.loads(encoded.replace("\\u0000", "\\ufffd"))
    return kept


@cache
def _parameter_names(kind: type[Asked]) -> tuple[str, ...]:
    return tuple(name for name in kind.model_fields if name not in _TEXTS)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def storable(text: str) -> str:
    """`text` within the limit, and without NUL, which Postgres has no place for."""
    return text[:TEXT_LIMIT].replace("\x00", "\ufffd")


def chat_reply(
    answer: Answer,
    *,
    name: str,
    engine: str,
    simulated: bool,
    created: int,
    seconds: float,
    time_to_first_token: float | None = None,
    cost: Decimal | None = None,
) -> ChatReply:
    """The reply under the name that the caller asked for, whatever the engine calls the model."""
    return ChatReply(
        id=answer.id,
        model=name,
        created=created,
        content=answer.content,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        logprobs=answer.logprobs,
        extra=answer.extra,
        others=list(answer.others),
        usage=answer.usage,
        engine=engine,
        simulated=simulated,
        seconds=seconds,
        time_to_first_token=time_to_first_token,
        cost=cost,
    )
