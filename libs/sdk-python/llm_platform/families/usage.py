"""What was asked and what it cost."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_USAGE = "/api/v1/llm/usage"
_INTERACTIONS = "/api/v1/llm/interactions"
_PAGE = 100


class Usage(Family[R]):
    """`client.usage`"""

    @flow
    def rows(self, *, limit: int | None = None, **filters: Unpack[requests.UsageQuery]) -> Flow[answers.UsageRow]:
        """Requests, tokens and cost, summed up; `group_by` is `day,model` or any of `day`, `model` and `key`."""
        return self._pages(_USAGE, answers.UsagePage, lambda page: page.items, limit, **filters)

    @flow
    def interactions(
        self, *, limit: int | None = None, **filters: Unpack[requests.InteractionsQuery]
    ) -> Flow[answers.KeptInteraction]:
        """Every completion with its input and output, newest first; of the caller, an admin's of all."""
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
