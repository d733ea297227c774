"""The adversary's plan: what is done to whom and when, all of it from a seed."""

import random
from dataclasses import dataclass
from typing import Literal

DeedKind = Literal["kill", "stop", "quit", "restart", "purge", "repeat"]

FIRST_DEED = 1.0
"""Seconds after which the adversary begins: there is something to spoil by then."""


@dataclass(frozen=True)
class Fleet:
    """How many replicas of each service there are."""

    orchestrators: int = 3
    routers: int = 2
    gateways: int = 2

    def names(self, service: str) -> list[str]:
        count = {"orchestrator": self.orchestrators, "llm_router": self.routers, "gateway": self.gateways}[service]
        return [f"{service}-{number}" for number in range(count)]


@dataclass(frozen=True)
class Deed:
    """Done `at` seconds after the beginning.

    `kill` is SIGKILL; `stop` is SIGSTOP and after `seconds` SIGCONT; `quit` is Postgres' immediate shutdown and
    `restart` its fast one, or NATS' orderly end; `purge` empties the stream of work; `repeat` sends messages again that
    were sent before, in another order.
    """

    number: int
    at: float
    kind: DeedKind
    target: str
    seconds: float = 0.0

    def __str__(self) -> str:
        length = f" for {self.seconds:.1f} s" if self.kind == "stop" else ""
        return f"{self.at:6.1f} s  {self.kind} {self.target}{length}"


@dataclass(frozen=True)
class _Card:
    """A kind of deed. `target` is a server, a kind of message, or a service of which any replica may be meant."""

    kind: DeedKind
    target: str
    shortest: float = 0.0
    longest: float = 0.0


_DECK = (
    *(_Card("kill", "orchestrator") for _ in range(3)),
    *(_Card("stop", "orchestrator", 2.5, 6.0) for _ in range(3)),
    _Card("stop", "orchestrator", 11.0, 14.0),
    *(_Card("kill", "llm_router") for _ in range(2)),
    *(_Card("stop", "llm_router", 2.5, 9.0) for _ in range(2)),
    _Card("kill", "gateway"),
    _Card("stop", "gateway", 1.0, 4.0),
    _Card("kill", "postgres"),
    _Card("quit", "postgres"),
    _Card("restart", "postgres"),
    _Card("stop", "postgres", 1.0, 5.0),
    _Card("kill", "nats"),
    _Card("restart", "nats"),
    _Card("stop", "nats", 1.0, 5.0),
    *(_Card("purge", "work") for _ in range(2)),
    *(_Card("repeat", what) for what in ("hints", "events", "questions", "records") for _ in range(2)),
)
"""Dealt to the last before it is shuffled again, so that also a short run meets most of it. Stops of orchestrators
outlast their lease, and one the turn of a relay; the longer ones of routers outlast the silence after which their
callers give them up."""


def plan(seed: int, seconds: float, fleet: Fleet, *, pause: float = 2.0) -> list[Deed]:
    """What is done in the first `seconds`, `pause` seconds apart on average. The same for the same arguments."""
    dice = random.Random(f"chaos/{seed}")
    deeds: list[Deed] = []
    deck: list[_Card] = []
    at = FIRST_DEED
    while at < seconds:
        if not deck:
            deck = list(_DECK)
            dice.shuffle(deck)
        card = deck.pop()
        target, length = _target(card.target, fleet, dice), round(dice.uniform(card.shortest, card.longest), 1)
        deeds.append(Deed(len(deeds) + 1, round(at, 2), card.kind, target, length))
        at += dice.uniform(0.1, 2 * pause - 0.1)
    return deeds


def _target(target: str, fleet: Fleet, dice: random.Random) -> str:
    return dice.choice(fleet.names(target)) if target in {"orchestrator", "llm_router", "gateway"} else target
