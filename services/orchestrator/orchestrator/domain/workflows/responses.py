"""What a payload's step puts out: its response, with the exact prompt and what it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from contracts.router import ChatReply
from contracts.workflow_runs import ResponseMetadata
from contracts.workflows import PayloadSnapshot
from orchestrator.domain.workflows.fanout import joined


@dataclass(frozen=True)
class Answer:
    """A reply to `prompt` of the instance on `port`."""

    prompt: str
    port: int
    reply: ChatReply


def output(position: int, payload: PayloadSnapshot, answers: Sequence[Answer], *, each: bool) -> dict[str, Any]:
    """The response, which joins several answers where one was asked for `each` item."""
    metadata = _metadata([answer.reply for answer in answers]) | {
        "port": answers[-1].port if answers else None,
        "items": len(answers) if each else None,
    }
    return _output(
        position,
        payload,
        content=joined([answer.reply.content for answer in answers]),
        prompt=joined([answer.prompt for answer in answers]),
        metadata=ResponseMetadata.model_validate(metadata),
    )


def skipped(position: int, payload: PayloadSnapshot) -> dict[str, Any]:
    """The empty response of a payload whose condition does not hold."""
    metadata = ResponseMetadata.model_validate(_metadata([]) | {"skipped": True})
    return _output(position, payload, content="", prompt="", metadata=metadata)


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


def _metadata(replies: Sequence[ChatReply]) -> dict[str, Any]:
    """Sums over the replies; the rate is of all their tokens over all their time."""
    seconds = sum(reply.seconds for reply in replies)
    tokens = sum(reply.usage.total_tokens for reply in replies)
    costs = [reply.cost for reply in replies if reply.cost is not None]
    return {
        "tokens": tokens,
        "promptTokens": sum(reply.usage.prompt_tokens for reply in replies),
        "completionTokens": sum(reply.usage.completion_tokens for reply in replies),
        "duration_ms": round(seconds * 1000),
        "tokens_per_second": round(tokens / seconds, 2) if seconds > 0 else 0.0,
        "model": replies[-1].model if replies else None,
        "engine": replies[-1].engine if replies else None,
        "cost": sum(costs, Decimal(0)) if costs else None,
        "simulated": any(reply.simulated for reply in replies),
    }
