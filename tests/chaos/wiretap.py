"""Listens on the bus and says again what was said there, later and in another order.

Whatever is repeated here may come twice in life: JetStream delivers at least once, a relay that dies between publishing
and deleting publishes again, and a question whose answer is lost is asked again.
"""

import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from contracts import orchestrator, router, run_events
from contracts.tasks import CREATE_TASK
from contracts.topology import Header, inbox_prefix
from contracts.triggers import DELIVER_WEBHOOK
from contracts.workflow_runs import EXECUTE_WORKFLOW
from embedded.endpoints import ServiceAccess

_MESSAGE_ID = "Nats-Msg-Id"
_REMEMBERED = 200
_MOST_REPEATED = 30
_MEMORY_SECONDS = 60.0
"""JetStream knows message ids for two minutes: what is told again after that is told twice."""
_FILTERS = {
    "hints": (orchestrator.STEP_READY.filter,),
    "events": (run_events.RUN_TOLD.filter,),
    "records": (router.INTERACTIONS_RECORDED.filter,),
    "questions": (
        EXECUTE_WORKFLOW.subject,
        DELIVER_WEBHOOK.subject,
        CREATE_TASK.subject,
        orchestrator.CLAIM_STEP.subject,
        orchestrator.BEAT_STEPS.subject,
        orchestrator.FINISH_STEP.subject,
    ),
}
_WITH_THEIR_ID = "events"
"""What no reader can tell from something new but by its id, with which it is always told again."""
_QUESTION_SECONDS = 5.0
_NOBODY = f"{inbox_prefix('gateway')}.nobody"


@dataclass(frozen=True)
class _Heard:
    at: float
    subject: str
    headers: Mapping[str, str]
    data: bytes


class Wiretap:
    """The administrator's connection, which may hear and say everything."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._heard: dict[str, deque[_Heard]] = {what: deque(maxlen=_REMEMBERED) for what in _FILTERS}

    @classmethod
    async def on(cls, access: ServiceAccess) -> "Wiretap":
        client = await nats.connect(
            access.nats_url,
            user=access.nats_user,
            password=access.nats_password,
            name="chaos",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,
            error_cb=_ignore,
            no_echo=True,
        )
        tap = cls(client)
        for what, subjects in _FILTERS.items():
            for subject in subjects:
                await client.subscribe(subject, cb=tap._listener(what))
        return tap

    async def close(self) -> None:
        with suppress(NatsError, TimeoutError):
            await self._client.close()

    async def purge_work(self) -> str:
        """Empties the stream of hints; what became of it."""
        try:
            await self._client.jetstream(timeout=2).purge_stream(orchestrator.STEP_READY.stream)
        except (NatsError, TimeoutError) as error:
            return f"not purged: {error!r}"
        return "purged"

    async def records(self) -> int:
        """How many messages with interactions nobody has written down yet. Raises NatsError, TimeoutError."""
        info = await self._client.jetstream(timeout=2).stream_info(router.INTERACTIONS_RECORDED.stream)
        return info.state.messages

    async def repeat(self, what: str, dice: random.Random) -> str:
        """Says some of what was heard again, in a random order; how much."""
        recent = [heard for heard in self._heard[what] if time.monotonic() - heard.at < _MEMORY_SECONDS]
        chosen = dice.sample(recent, min(len(recent), _MOST_REPEATED))
        try:
            for heard in chosen:
                await self._say(what, heard)
            await self._client.flush(timeout=2)
        except (NatsError, TimeoutError) as error:
            return f"the bus is away: {error!r}"
        return f"{len(chosen)} messages"

    async def _say(self, what: str, heard: _Heard) -> None:
        headers = dict(heard.headers)
        if what != _WITH_THEIR_ID:
            headers.pop(_MESSAGE_ID, None)
        reply = ""
        if what == "questions":
            # Somebody seems to wait: without that, and with a deadline that has passed, nobody would even look at it.
            reply = _NOBODY
            headers[Header.DEADLINE.value] = str(time.time() + _QUESTION_SECONDS)
        await self._client.publish(heard.subject, heard.data, reply=reply, headers=headers or None)

    def _listener(self, what: str) -> Callable[[Msg], Awaitable[None]]:
        async def listen(message: Msg) -> None:
            headers = message.headers or {}
            # Progress has no id: it is told once or not at all.
            if what != _WITH_THEIR_ID or _MESSAGE_ID in headers:
                self._heard[what].append(_Heard(time.monotonic(), message.subject, headers, message.data))

        return listen


async def _ignore(_error: Exception) -> None:
    """The bus is away now and then; that is the idea."""
