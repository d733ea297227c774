"""Writes transitions and what they tell others, as one: all of it happens, or nothing."""

from collections.abc import Sequence

from common import outbox
from common.database import Connection
from orchestrator.deps import Deps
from orchestrator.domain import jobs
from orchestrator.domain.machine import Transition
from orchestrator.domain.policy import Policy
from orchestrator.engine import announcements, metrics
from orchestrator.store import transitions


async def record(connection: Connection, transition: Transition, policy: Policy) -> None:
    """In the transaction of `connection`, which has locked the run. Call `settled` once that has committed."""
    await record_all(connection, [transition], policy)


async def record_all(connection: Connection, made: Sequence[Transition], policy: Policy) -> None:
    """As `record`, transitions of as many runs."""
    errors = {transition.run.id: jobs.error(transition) for transition in made if transition.ended is not None}
    await transitions.record(connection, made, policy, errors)
    await outbox.add_many(connection, [told for transition in made for told in announcements.of_transition(transition)])


def settled(deps: Deps, *made: Transition) -> None:
    """The transitions are committed: what they tell goes out at once, rather than when the relay looks next."""
    deps.relay.kick()
    deps.steps_ready.set()
    for transition in made:
        metrics.count_transition(transition)
