"""Document B's test, streamed: the events that tell of one answer. (Whole, the answer is the document's.)"""

from contracts.base import Message
from contracts.router import ChatReply, FinishReason, TestResult, Usage, Usd


class TrialDelta(Message):
    """The event `delta`: more of the answer."""

    content: str


class TrialResult(TestResult):
    """The event `result`, which comes last: document B's answer, and what it took.

    `duration` and `time_to_first_token` in seconds; `cost` in USD, null when no price is known. `simulated` says that
    no model made it.
    """

    finish_reason: FinishReason | None
    usage: Usage
    cost: Usd | None
    time_to_first_token: float | None
    engine: str
    simulated: bool


def trial_result(reply: ChatReply) -> TrialResult:
    return TrialResult(
        result=reply.content,
        model=reply.model,
        duration=reply.seconds,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        cost=reply.cost,
        time_to_first_token=reply.time_to_first_token,
        engine=reply.engine,
        simulated=reply.simulated,
    )
