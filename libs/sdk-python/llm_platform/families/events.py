"""What happens on the platform, over its WebSocket (document C and beyond)."""

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps, mapped
from llm_platform.core.following import watch
from llm_platform.core.requests import texts
from llm_platform.schemas import answers


class Events(Family[R]):
    """`client.events`"""

    @flow
    def watch(self, *, run_id: int | None = None, after: int | None = None) -> Flow[answers.RunEvent]:
        """What the caller's runs tell, or one run, each message once, over any number of connections.

        Without `after` (the id of the last message seen, 0 for none) messages are those from now on. It has no end:
        leave it with `close`. Raises `NotFound` for a run that is not the caller's, and `EventsLost` when what was
        missed meanwhile is not kept any more.
        """
        messages = watch("/ws", texts({"run_id": run_id}), self._runner.retries, after)
        return mapped(messages, lambda told: [answers.RunEvent.model_validate(told)])

    @operation
    def ticket(self) -> Steps[answers.IssuedTicket]:
        """Opens one stream, for a page that can send no key."""
        return self._post("/api/v1/tickets", answers.IssuedTicket)
