"""The losses of models' trainings, read from the logs of their runs. What is kept of them outlives those."""

from dataclasses import dataclass

from common.bus import Bus
from common.database import Connection, Database
from contracts.base import RefusalCode, Refused
from contracts.registry import LineageStep, Model
from registry.domain.lineage import Training, training_of
from registry.domain.plots import Point
from registry.domain.references import Reference
from registry.engine.run_logs import loss_curve, read_losses
from registry.store import models

_AT_ONCE = 100


@dataclass(frozen=True)
class Curves:
    """Shared by the handlers and the sweeper."""

    database: Database
    bus: Bus

    async def of(self, model: Model) -> list[Point]:
        """By step; empty where none were recorded, or the log cannot be read now."""
        async with self.database.connection() as connection:
            kept = await models.find_curve(connection, model.model_id)
            training = await _training(connection, model)
        if kept is not None:
            return [Point(**point) for point in kept]  # type: ignore[arg-type]
        points = await loss_curve(self.bus, training)
        if points:
            await self._keep(model.model_id, points)
        return points

    async def keep_of_run(self, model_id: str, run_id: str) -> None:
        """Keeps those of a model, if that run trained it. Raises `Refused` when the log cannot be read."""
        training = await self._training_of(model_id)
        if training is not None and training.run_id == run_id and (points := await read_losses(self.bus, training)):
            await self._keep(model_id, points)

    async def keep_waiting(self) -> int:
        """Keeps those of models that were registered a day ago and that nobody has asked for, since logs are deleted
        some time; how many were looked for. Raises `Refused` when nobody reads logs."""
        async with self.database.connection() as connection:
            waiting = await models.without_curve(connection, limit=_AT_ONCE)
        for model_id in waiting:
            training = await self._training_of(model_id)
            # None is kept as well: it is not looked for again.
            await self._keep(model_id, await self._read(training) if training is not None else [])
        return len(waiting)

    async def keep_all_waiting(self) -> None:
        """As `keep_waiting`, until none waits."""
        while await self.keep_waiting() == _AT_ONCE:
            pass

    async def _read(self, training: Training) -> list[Point]:
        try:
            return await read_losses(self.bus, training)
        except Refused as refused:
            if refused.code not in {RefusalCode.NOT_FOUND, RefusalCode.INVALID}:
                raise
            return []

    async def _training_of(self, model_id: str) -> Training | None:
        """None for a model that has been deleted meanwhile."""
        async with self.database.connection() as connection:
            model = await models.find(connection, Reference(model_id))
            return None if model is None else await _training(connection, model)

    async def _keep(self, model_id: str, points: list[Point]) -> None:
        async with self.database.connection() as connection:
            await models.keep_curve(connection, model_id, [vars(point) for point in points])


async def _training(connection: Connection, model: Model) -> Training:
    told = await models.lineage(connection, model.model_id)
    return training_of(model, [LineageStep.model_validate(step) for step in told])
