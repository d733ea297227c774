"""The content cache: a step whose agent, configuration and content were seen before is answered, not run."""

import asyncio
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
    """Earlier results by content. It only ever saves work: when it is away, steps run."""

    database: Database
    objects: ObjectStore
    models_dir: Path

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
            objects = {path: await fingerprint_objects(self.objects, path) for path in paths}
        except (Refused, ValueError) as error:
            _log.warning("content_unknown", step_id=step.step_id, error=str(error))
            return None
        known = {path: mark for path, mark in objects.items() if mark is not None}
        if len(known) < len(objects):
            return None
        models = {
            name: await asyncio.to_thread(fingerprint_model, self.models_dir, name)
            for name in base_models(config, inputs)
        }
        return content_key(step.agent_class, config, inputs, known, models)

    async def find(self, key: str) -> AgentOutput | None:
        """An earlier result whose objects are all still there."""
        try:
            async with self.database.connection() as connection:
                output = await store.find_artifact(connection, key)
            if output is None:
                return None
            for path in paths_of(output):
                if await fingerprint_objects(self.objects, path) is None:
                    async with self.database.connection() as connection:
                        await store.forget_artifact(connection, key)
                    return None
        except Refused as refused:
            _log.warning("result_not_looked_up", error=refused.message)
            return None
        _REUSED.labels(output.kind).inc()
        return output

    async def keep(self, key: str, output: AgentOutput) -> None:
        try:
            async with self.database.connection() as connection:
                await store.keep_artifact(connection, key, output)
        except Refused as refused:
            _log.warning("result_not_kept", error=refused.message)
