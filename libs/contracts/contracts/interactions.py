"""Reading what was asked and answered (document B's interaction tracking), and what it used."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.router import CountedBy, Usd

InteractionStatus = Literal["completed", "failed", "cancelled"]
ModelName = Annotated[str, Field(min_length=1, max_length=300)]
KeyId = Annotated[str, Field(min_length=1, max_length=100)]
_FIRST_DAY = date(1970, 1, 1)
Moment = Annotated[Timestamp, Field(ge=datetime(1970, 1, 1, tzinfo=UTC))]
Day = Annotated[date, Field(ge=_FIRST_DAY)]
Grouping = Literal["day", "model", "key", "day,model", "day,key", "model,key", "day,model,key"]
"""What usage is summed by."""


class KeptInteraction(Message):
    """One completion of any route. Durations are seconds, `cost` is USD and null when no price is known.

    `key` is the id of the caller's key. `counted_by` says who counted the tokens: the engine, the model's tokenizer, or
    nobody, so that they are known by the texts' length alone; null where none were used. In lists the texts are cut
    after 2,000 characters, which `truncated` says.
    """

    interaction_id: str
    route: str
    model: str
    requested_model: str | None
    engine: str | None
    input_text: str
    output_text: str
    truncated: bool
    parameters: dict[str, Any]
    status: InteractionStatus
    error_message: str | None
    error_type: str | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    counted_by: CountedBy | None
    cost: Usd | None
    duration: float
    time_to_first_token: float | None
    key: str | None
    trace_id: str | None
    created_at: Timestamp


class ListInteractions(PageRequest):
    """Newest first: those that began from `since` on and before `until`.

    `model` is the one that answered or the one that was asked for. `cursor` is the `next_cursor` of the page before:
    deep pages come as fast as the first, and nothing shifts.
    """

    model: ModelName | None = None
    status: InteractionStatus | None = None
    engine: str | None = Field(default=None, min_length=1, max_length=100)
    route: str | None = Field(default=None, min_length=1, max_length=100)
    key: KeyId | None = None
    trace_id: str | None = Field(default=None, min_length=1, max_length=64)
    since: Moment | None = None
    until: Moment | None = None
    offset: int = Field(default=0, ge=0, le=100_000)
    cursor: str | None = Field(default=None, max_length=200)


class InteractionPage(Page[KeptInteraction]):
    """`total` counts all that the filters let through, whatever the page."""

    next_cursor: str | None


class GetInteraction(Message):
    interaction_id: str = Field(min_length=1, max_length=64)


class GetUsage(PageRequest):
    """Days are those of UTC, the first and the last one included; without them, the last 30 days."""

    group_by: Grouping = "day,model"
    model: ModelName | None = None
    key: KeyId | None = None
    since: Day | None = None
    until: Day | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=100_000)


class UsageRow(Message):
    """What was used of one model on one day by one key, or the sum over those that `group_by` does not name.

    These are null then; `key` is also null for callers without one. `mean_duration` in seconds; `errors` are failed
    requests. `cost` in USD is the sum of what is known; `unpriced` requests are those whose price nobody knows.
    """

    day: date | None = None
    model: str | None = None
    key: str | None = None
    requests: int
    errors: int
    cancelled: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: Usd
    unpriced: int
    mean_duration: float


class UsagePage(Page[UsageRow]):
    """Newest day first, then by model and key."""


LIST_INTERACTIONS = Rpc(
    "router.v1.interactions.list", ListInteractions, InteractionPage, refusals=(RefusalCode.INVALID,), timeout=30.0
)
GET_INTERACTION = Rpc(
    "router.v1.interactions.get", GetInteraction, KeptInteraction, refusals=(RefusalCode.NOT_FOUND,), timeout=30.0
)
GET_USAGE = Rpc("router.v1.usage.get", GetUsage, UsagePage, refusals=(RefusalCode.INVALID,))
