"""What every handler may use, and the table they are registered in."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from common.bus import Bus, Handlers
from common.database import Database
from common.outbox import OutboxRelay
from orchestrator.domain.policy import Policy
from orchestrator.turnstile import Turnstile


@dataclass(frozen=True)
class Deps:
    """`relay` is kicked after each commit that tells something. `chance` draws numbers between 0 and 1, for jitter.

    `steps_ready` wakes the worker of this process: there may be a step for it. `answering` are the tasks that are being
    answered directly here, by task id; `executing` the actions that are executed here, by the id of their run. Runs are
    entered through the `turnstile`.
    """

    database: Database
    bus: Bus
    relay: OutboxRelay
    policy: Policy
    chance: Callable[[], float] = random.random
    steps_ready: asyncio.Event = field(default_factory=asyncio.Event)
    answering: "dict[str, asyncio.Task[None]]" = field(default_factory=dict)
    executing: "dict[int, asyncio.Task[None]]" = field(default_factory=dict)
    turnstile: Turnstile = field(default_factory=Turnstile)


HANDLERS = Handlers[Deps]()
