"""What a payload's step puts out: its response, with the exact prompt and what it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from contracts.router import ChatReply
from contracts.workflow_runs import ResponseMetadata
from contracts.workflows import PayloadSnapshot

BETWEEN_RESPONSES = "\n\n"
"""Stands between the responses of items."""
LONGEST = 1_000_000
"""Characters of prompts that the response to a whole list keeps, and of its content that are shown: together they may
be more than a message holds, and each item has its own whole."""


@dataclass(frozen=True)
class Answer:
    """A reply to `prompt` of the instance on `port`."""

    prompt: str
    port: int
    reply: ChatReply


def output(position: int, payload: PayloadSnapshot, answer: Answer) -> dict[str, Any]:
    """The response that was answered."""
    reply = answer.reply
    return _output(
        position,
        payload,
        content=reply.content,
        prompt=answer.prompt,
        metadata=ResponseMetadata(
            tokens=reply.usage.total_tokens,
            promptTokens=reply.usage.prompt_tokens,
            completionTokens=reply.usage.completion_tokens,
            duration_ms=round(reply.seconds * 1000),
            tokens_per_second=_rate(reply.usage.total_tokens, reply.seconds),
            model=reply.model,
            engine=reply.engine,
            port=answer.port,
            cost=reply.cost,
            simulated=reply.simulated,
        ),
    )


def output_of_item(position: int, payload: PayloadSnapshot, item: int, answer: Answer) -> dict[str, Any]:
    """As `output`, of one item of a list."""
    return {**output(position, payload, answer), "item": item}


def joined(position: int, payload: PayloadSnapshot, outputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The response of a payload that was done for each item of a list: all of theirs, and each, as the list that
    another payload may be done for. The rate is of all tokens over all the time that they took."""
    took = [ResponseMetadata.model_validate(one["metadata"]) for one in outputs]
    tokens, milliseconds = sum(one.tokens for one in took), sum(one.duration_ms for one in took)
    costs = [one.cost for one in took if one.cost is not None]
    last = took[-1] if took else None
    whole = _output(
        position,
        payload,
        content=BETWEEN_RESPONSES.join(one["content"] for one in outputs),
        prompt=BETWEEN_RESPONSES.join(one["prompt"] for one in outputs if one["prompt"]),
        metadata=ResponseMetadata(
            tokens=tokens,
            promptTokens=sum(one.promptTokens for one in took),
            completionTokens=sum(one.completionTokens for one in took),
            duration_ms=milliseconds,
            tokens_per_second=_rate(tokens, milliseconds / 1000),
            model=None if last is None else last.model,
            engine=None if last is None else last.engine,
            port=None if last is None else last.port,
            cost=sum(costs, Decimal(0)) if costs else None,
            simulated=any(one.simulated for one in took),
            items=len(outputs),
        ),
    )
    return {**whole, "items": [one["content"] for one in outputs]}


def shown(content: str) -> str:
    """As much of it as a list of responses has room for."""
    return content if len(content) <= LONGEST else content[: LONGEST - 1] + "…"


def skipped(position: int, payload: PayloadSnapshot) -> dict[str, Any]:
    """The empty response of a payload that asks nobody: its condition does not hold, or what it depends on was
    skipped."""
    metadata = ResponseMetadata(
        tokens=0, promptTokens=0, completionTokens=0, duration_ms=0, tokens_per_second=0.0, skipped=True
    )
    return _output(position, payload, content="", prompt="", metadata=metadata)


def is_skipped(output: dict[str, Any]) -> bool:
    return bool(output["metadata"].get("skipped", False))


def kept(earlier: dict[str, Any]) -> dict[str, Any]:
    """What a run takes over of an earlier one's output: it has cost nothing again."""
    return {**earlier, "metadata": {**earlier["metadata"], "kept": True}}


def _output(
    position: int, payload: PayloadSnapshot, *, content: str, prompt: str, metadata: ResponseMetadata
) -> dict[str, Any]:
    return {
        "position": position,
        "payload_id": payload.payload_id,
        "content": content,
        "prompt": prompt,
        "metadata": metadata.model_dump(mode="json", exclude_defaults=True),
    }


def _rate(tokens: int, seconds: float) -> float:
    return round(tokens / seconds, 2) if seconds > 0 else 0.0
