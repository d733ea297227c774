"""What was asked and what it cost."""

from datetime import date, datetime

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers

_USAGE = "/api/v1/llm/usage"
_INTERACTIONS = "/api/v1/llm/interactions"
_PAGE = 100


class Usage(Family[R]):
    """`client.usage`"""

    @flow
    def rows(
        self,
        *,
        group_by: str = "day,model",
        model: str | None = None,
        key: str | None = None,
        since: date | None = None,
        until: date | None = None,
        limit: int | None = None,
    ) -> Flow[answers.UsageRow]:
        """Requests, tokens and cost, summed up by `day`, `model` and `key` or some of these."""
        return self._pages(
            _USAGE,
            answers.UsagePage,
            lambda page: page.items,
            limit,
            group_by=group_by,
            model=model,
            key=key,
            since=since,
            until=until,
        )

    @flow
    def interactions(
        self,
        *,
        model: str | None = None,
        status: str | None = None,
        engine: str | None = None,
        route: str | None = None,
        key: str | None = None,
        trace_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Flow[answers.KeptInteraction]:
        """Every completion with its input and output, newest first; of the caller, an admin's of all."""
        filters = {
            "model": model,
            "status": status,
            "engine": engine,
            "route": route,
            "key": key,
            "trace_id": trace_id,
            "since": since,
            "until": until,
        }
        cursor: str | None = None
        seen = 0
        while limit is None or seen < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - seen)
            page = yield from self._get(_INTERACTIONS, answers.InteractionPage, **filters, limit=size, cursor=cursor)
            yield from page.items
            seen += len(page.items)
            if (cursor := page.next_cursor) is None or not page.items:
                return

    @operation
    def interaction(self, interaction_id: str) -> Steps[answers.KeptInteraction]:
        """One completion."""
        return self._get(at(_INTERACTIONS, interaction_id), answers.KeptInteraction)
