"""Writes a transition and what it tells others, as one: both happen, or neither."""

from common import outbox
from common.database import Connection
from orchestrator import announcements, metrics
from orchestrator.deps import Deps
from orchestrator.domain import jobs
from orchestrator.domain.machine import Transition
from orchestrator.domain.policy import Policy
from orchestrator.store import transitions


async def record(connection: Connection, transition: Transition, policy: Policy) -> None:
    """In the transaction of `connection`, which has locked the run. Call `settled` once that has committed."""
    await transitions.record(connection, transition, policy, error=jobs.error(transition))
    await outbox.add_many(connection, announcements.of_transition(transition))


def settled(deps: Deps, transition: Transition) -> None:
    """The transition is committed: what it tells goes out at once, rather than when the relay looks next."""
    deps.relay.kick()
    deps.steps_ready.set()
    metrics.count_transition(transition)
