"""Keeps what was asked and answered: from JetStream into Postgres, in batches."""

from collections.abc import Sequence
from datetime import datetime

from common.bus import Delivered
from common.telemetry import get_logger
from contracts.base import Refused
from contracts.router import Interaction
from llm_router.handlers.deps import Deps
from llm_router.store import engines
from llm_router.store import interactions as store

_log = get_logger("interactions")


async def keep(deps: Deps, delivered: Sequence[Delivered[Interaction]]) -> None:
    """Writes a batch. Raises `Refused(UNAVAILABLE)` while Postgres is away: the batch then comes again."""
    interactions = [delivery.body for delivery in delivered]
    try:
        await _write(deps, interactions)
    except Refused:
        raise
    except Exception as error:
        # One that Postgres will never take must not hold back the others.
        _log.warning("batch_refused", size=len(interactions), error=repr(error))
        for interaction in interactions:
            await _write_alone(deps, interaction)


async def _write_alone(deps: Deps, interaction: Interaction) -> None:
    try:
        await _write(deps, [interaction])
    except Refused:
        raise
    except Exception as error:
        _log.error("interaction_refused", interaction_id=interaction.interaction_id, error=repr(error))


async def _write(deps: Deps, interactions: Sequence[Interaction]) -> None:
    async with deps.database.transaction() as connection:
        await store.add_interactions(connection, interactions)
        await engines.note_use(connection, _last_used(interactions))


def _last_used(interactions: Sequence[Interaction]) -> list[tuple[str, datetime]]:
    latest: dict[str, datetime] = {}
    for interaction in interactions:
        if interaction.engine is not None:
            known = latest.get(interaction.engine, interaction.created_at)
            latest[interaction.engine] = max(known, interaction.created_at)
    # In order of name, so that two replicas lock the rows in the same order.
    return sorted(latest.items())
