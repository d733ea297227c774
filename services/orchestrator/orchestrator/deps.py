"""What every handler may use, and the table they are registered in."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from common.bus import Bus, Handlers
from common.database import Database
from common.outbox import OutboxRelay
from orchestrator.domain.policy import Policy


@dataclass(frozen=True)
class Deps:
    """`relay` is kicked after each commit that tells something. `chance` draws numbers between 0 and 1, for jitter."""

    database: Database
    bus: Bus
    relay: OutboxRelay
    policy: Policy
    chance: Callable[[], float] = random.random


HANDLERS = Handlers[Deps]()
