"""Logs of runs, live and kept (document E)."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Request, Steps, mapped
from llm_platform.core.following import follow
from llm_platform.core.requests import at, read, texts
from llm_platform.core.server_sent import ServerSent
from llm_platform.schemas import answers, requests

_STREAM = "/api/v1/logs/stream"
_HISTORY = "/api/v1/logs/history"
_METRICS = "/api/v1/logs/metrics"
_PAGE = 1000


class Log(answers.LogRecord):
    """A line of a log. `sequence` is its place: what to resume after."""

    sequence: int | None = None


Log.model_rebuild(_types_namespace=vars(answers))


class Logs(Family[R]):
    """`client.logs`"""

    @flow
    def stream(
        self, run_id: str, *, after: int | None = None, **filters: Unpack[requests.LogsStreamQuery]
    ) -> Flow[Log]:
        """Every line once, to the run's end, over any number of connections; `after` is the last one seen."""
        request = Request("GET", at(_STREAM, run_id), texts(filters))
        return mapped(follow(request, self._runner.retries, None if after is None else str(after)), _lines)

    @flow
    def history(
        self, run_id: str, *, limit: int | None = None, after: int = 0, **filters: Unpack[requests.LogsHistoryQuery]
    ) -> Flow[answers.LogRecord]:
        """What is kept, oldest first, or newest first with `order="desc"`; at most `limit` lines."""
        query: dict[str, object] = {"after": after, **filters}
        place = "before" if filters.get("order") == "desc" else "after"
        seen = 0
        while limit is None or seen < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - seen)
            page = yield from self._get(at(_HISTORY, run_id), answers.LogHistory, **query, limit=size)
            yield from page.logs
            seen += len(page.logs)
            if not page.has_more or page.last_sequence is None:
                return
            query[place] = page.last_sequence

    @operation
    def metrics(self, run_id: str, **filters: Unpack[requests.LogsMetricsQuery]) -> Steps[answers.RunMetrics]:
        """The numbers that its agents measured, to plot them."""
        return self._get(at(_METRICS, run_id), answers.RunMetrics, **filters)


def _lines(event: ServerSent) -> list[Log]:
    line = read(event.data, Log)
    return [line if event.id is None else line.model_copy(update={"sequence": int(event.id)})]
