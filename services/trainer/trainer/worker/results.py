"""The content cache: a step whose agent, configuration and content were seen before is answered, not run."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.database import Database
from common.objects import ObjectStore
from common.telemetry import Counter, get_logger
from contracts.base import Refused
from contracts.orchestrator import ClaimedStep
from contracts.pipeline import AgentOutput, DatasetConfig
from contracts.registry import Dataset
from trainer import store
from trainer.domain.configuration import effective_config
from trainer.domain.content import content_key, is_cacheable, paths_of
from trainer.domain.inputs import base_models, used
from trainer.engine.fingerprints import fingerprint_model, fingerprint_objects

_log = get_logger("results")
_REUSED = Counter("trainer_results_reused_total", "Steps answered from an earlier result", ["agent_class"])


@dataclass(frozen=True)
class Results:
    """Earlier results by content. It only ever saves work: when it is away, steps run.

    `code` is the fingerprint of the agents' program: what another version made is not used.
    """

    database: Database
    objects: ObjectStore
    models_dir: Path
    code: str

    async def key_of(self, step: ClaimedStep, dataset: Dataset | None) -> str | None:
        """The step's content key; None when it cannot be answered from earlier results.

        Raises `Refused(CONFIG_INVALID)` for a configuration that no agent would take.
        """
        config = effective_config(step)
        if not is_cacheable(step.agent_class):
            return None
        inputs = used(step)
        paths = [path for output in inputs for path in paths_of(output)]
        if isinstance(config, DatasetConfig):
            paths += [path for path in (config.file_path, dataset and dataset.s3_path) if path]
        try:
            objects = await self._fingerprints(paths)
        except (Refused, ValueError) as error:
            _log.warning("content_unknown", step_id=step.step_id, error=str(error))
            return None
        if objects is None:
            return None
        models = {
            name: await asyncio.to_thread(fingerprint_model, self.models_dir, name)
            for name in base_models(config, inputs)
        }
        return content_key(step.agent_class, config, inputs, objects, models, self.code)

    async def find(self, key: str) -> AgentOutput | None:
        """An earlier result whose objects are all still there, and what they were."""
        try:
            async with self.database.connection() as connection:
                artifact = await store.find_artifact(connection, key)
            if artifact is None:
                return None
            if await self._fingerprints(artifact.objects) != artifact.objects:
                async with self.database.connection() as connection:
                    await store.forget_artifact(connection, key)
                return None
        except Refused as refused:
            _log.warning("result_not_looked_up", error=refused.message)
            return None
        _REUSED.labels(artifact.output.kind).inc()
        return artifact.output

    async def forget_runs(self, run_ids: Sequence[str]) -> None:
        """Answers nothing more with what those runs made. Raises `Refused` when the database is away."""
        async with self.database.connection() as connection:
            count = await store.forget_runs(connection, run_ids)
        _log.info("results_forgotten", runs=len(run_ids), results=count)

    async def keep(self, key: str, output: AgentOutput) -> None:
        try:
            objects = await self._fingerprints(paths_of(output))
            if objects is not None:
                async with self.database.connection() as connection:
                    await store.keep_artifact(connection, key, store.Artifact(output, objects))
        except Refused as refused:
            _log.warning("result_not_kept", error=refused.message)

    async def _fingerprints(self, paths: Iterable[str]) -> dict[str, str] | None:
        """Of all the paths; None when one of them is not there."""
        marks = {path: await fingerprint_objects(self.objects, path) for path in paths}
        found = {path: mark for path, mark in marks.items() if mark is not None}
        return found if len(found) == len(marks) else None
