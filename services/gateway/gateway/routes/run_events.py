"""Rows of those who watch runs while they go on (document C's WebSocket events)."""

from contracts.base import Empty, RefusalCode
from gateway.domain.run_events import FollowRun, IssuedTicket, WatchRuns
from gateway.routes.table import Route, Special, Tag

RUN_EVENTS = (
    Route(
        method="GET",
        path="/ws",
        tag=Tag.RUNS,
        summary="Watch runs over a WebSocket",
        description=(
            "Sends `execution_progress`, `payload_completed`, `workflow_completed` and `workflow_failed`, and of the"
            " items of a payload's list `item_progress`, `item_completed` and `item_failed`, and of payloads that wait"
            " for a person `approval_requested` and `approval_decided`, each with an `id`: a"
            " client that comes back with it as `last_event_id` misses nothing and sees nothing twice. What the"
            " client sends is not heeded. Closed with 4408 when the client reads too slowly, 4410 when what came after"
            " `last_event_id` is not kept any more, 4401 when the caller is not let in any more, 1001 when the gateway"
            " ends. With a `run_id` that is no run of the caller's it is refused with 404. A session's cookie is heeded"
            " from the platform's own pages."
        ),
        role="viewer",
        request=WatchRuns,
        response=None,
        special=Special.WATCH_RUNS,
        status=101,
        refusals=(RefusalCode.INVALID, RefusalCode.NOT_FOUND),
    ),
    Route(
        method="GET",
        path="/api/runs/{run_id}/events",
        tag=Tag.RUNS,
        summary="Follow a run, as server-sent events",
        description=(
            "What `/ws` sends of the run, from its beginning or after `Last-Event-ID`. An `end` event follows its last"
            " message."
        ),
        role="viewer",
        request=FollowRun,
        response=None,
        media="text/event-stream",
        special=Special.FOLLOW_RUN,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
    Route(
        method="POST",
        path="/api/v1/tickets",
        tag=Tag.PEOPLE,
        summary="Get a ticket for a stream",
        description=(
            "For clients that can send neither a header nor a cookie: `?ticket=…` opens one `/ws`, or one stream of"
            " server-sent events of a run or a log, as the caller."
        ),
        role="viewer",
        request=Empty,
        response=IssuedTicket,
        special=Special.ISSUE_TICKET,
        status=201,
    ),
)
