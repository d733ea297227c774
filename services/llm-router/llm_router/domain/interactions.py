"""What is kept of a completion, and the reply a caller gets."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from contracts.router import Chat, ChatReply, Interaction
from llm_router.domain.engines import Answer

Status = Literal["completed", "failed", "cancelled"]

TEXT_LIMIT = 500_000
"""Characters of input and of output that are kept: both fit a bus message of 8 MiB, however they are encoded."""
_EXTRA_LIMIT = 20_000


@dataclass(frozen=True)
class Outcome:
    """How a completion went. Durations in seconds; `output` is what there was when it ended."""

    status: Status
    model: str
    engine: str | None
    output: str
    duration: float
    error: str | None = None
    answer: Answer | None = None
    time_to_first_token: float | None = None


def interaction(
    chat: Chat,
    outcome: Outcome,
    *,
    interaction_id: str,
    principal: str | None,
    trace_id: str | None,
    created_at: datetime,
) -> Interaction:
    """The record of one completion, in a form that Postgres can store."""
    usage = outcome.answer.usage if outcome.answer is not None else None
    return Interaction(
        interaction_id=interaction_id,
        route=chat.route,
        model=storable(outcome.model),
        engine=outcome.engine,
        input_text=storable(input_text(chat)),
        output_text=storable(outcome.output),
        parameters=parameters(chat),
        status=outcome.status,
        error_message=storable(outcome.error) if outcome.error is not None else None,
        prompt_tokens=usage.prompt_tokens if usage is not None else 0,
        completion_tokens=usage.completion_tokens if usage is not None else 0,
        duration=outcome.duration,
        time_to_first_token=outcome.time_to_first_token,
        principal=principal,
        trace_id=trace_id,
        created_at=created_at,
    )


def input_text(chat: Chat) -> str:
    """The text of a single message as it is; a conversation as the JSON it was asked as."""
    if len(chat.messages) == 1 and isinstance(chat.messages[0].content, str):
        return chat.messages[0].content
    return json.dumps([m.model_dump(exclude_none=True) for m in chat.messages], ensure_ascii=False)


def parameters(chat: Chat) -> dict[str, Any]:
    """What the caller set, without messages. Large extras (tools, schemas) are kept by name alone."""
    given = chat.model_dump(exclude={"model", "messages", "route", "extra"}, exclude_none=True)
    encoded = json.dumps(given | chat.extra)
    if len(encoded) > _EXTRA_LIMIT:
        encoded = json.dumps(given | {"extra_fields": sorted(chat.extra)})
    # The escape of NUL is the one thing in JSON that Postgres does not store.
    kept: dict[str, Any] = json.loads(encoded.replace("\\u0000", "\\ufffd"))
    return kept


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
) -> ChatReply:
    """The reply under the name that the caller asked for, whatever the engine calls the model."""
    return ChatReply(
        id=answer.id,
        model=name,
        created=created,
        content=answer.content,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        engine=engine,
        simulated=simulated,
        seconds=seconds,
        time_to_first_token=time_to_first_token,
    )
