"""Having a step done: from an earlier result, by one question to the registry, or by the child process."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from common.bus import Bus
from common.datafiles.limits import Limits
from common.telemetry import get_logger
from contracts.base import Refused
from contracts.orchestrator import REUSE_RESULT, ClaimedStep, ReuseResult, StepSucceeded
from contracts.pipeline import (
    AgentConfig,
    AgentOutput,
    ComparisonConfig,
    DatasetConfig,
    RegistrationConfig,
    RegistrationOutput,
)
from contracts.registry import GET_DATASET, GET_MODEL, REGISTER_MODEL, Dataset, GetDataset, GetModel, Model
from trainer.domain.configuration import effective_config
from trainer.domain.content import paths_of
from trainer.domain.failures import crash_of, failure_of, lost_worker
from trainer.domain.inputs import as_of
from trainer.domain.registration import registration_of
from trainer.engine.child_process import ChildDied, ChildProcess, Outcome
from trainer.engine.orders import Order, StorageAccess
from trainer.worker.leases import Lease
from trainer.worker.results import Results
from trainer.worker.run_log import StepLog

_log = get_logger("performing")


@dataclass(frozen=True)
class Performer:
    """What steps are done with. `folder` is this process's alone."""

    bus: Bus
    results: Results
    storage: StorageAccess
    limits: Limits
    models_dir: Path
    folder: Path

    async def perform(self, lease: Lease, child: ChildProcess, log: StepLog) -> Outcome:
        """Does the held step. Whatever goes wrong becomes its outcome. Cancelling it kills what the child is doing."""
        step = lease.step
        try:
            return await self._perform(lease, child, log)
        except Refused as refused:
            return failure_of(refused)
        except ChildDied as death:
            return lost_worker(str(death))
        except Exception as error:
            _log.exception("step_crashed", step_id=step.step_id, agent_class=step.agent_class)
            return crash_of(error)

    async def _perform(self, lease: Lease, child: ChildProcess, log: StepLog) -> Outcome:
        step = lease.step
        config = effective_config(step)
        if isinstance(config, RegistrationConfig):
            return await self._register(step, config, log)
        dataset = await self._dataset(config) if isinstance(config, DatasetConfig) else None
        key = await self.results.key_of(step, dataset)
        earlier = await self._earlier(step, key) if key and step.global_config.use_cache else None
        if earlier is not None:
            log.say("INFO", f"{step.agent_class}: nothing has changed since an earlier run, whose result is used again")
            return StepSucceeded(output=as_of(step, earlier), cached=True)
        async with self._scratch(step) as directory:
            order = Order(
                step=step,
                dataset=dataset,
                models=await self._models(config),
                storage=self.storage,
                limits=self.limits,
                models_dir=self.models_dir,
                directory=directory,
            )
            lease.content_key = key
            return await child.run(order, log.record, lease.steering)

    async def _earlier(self, step: ClaimedStep, key: str) -> AgentOutput | None:
        """The result of an earlier run that the step may be answered with, which stays for its job from now on."""
        found = await self.results.find(key)
        if found is None:
            return None
        request = ReuseResult(step_id=step.step_id, fence=step.fence, paths=paths_of(found))
        try:
            return found if (await self.bus.ask(REUSE_RESULT, request)).granted else None
        except Refused as refused:
            _log.warning("result_not_granted", step_id=step.step_id, error=refused.message)
            return None

    async def keep(self, lease: Lease, output: AgentOutput) -> None:
        """Has the step's result answer others of the same content. Only once it is recorded: what is made for a step
        that is cancelled before that is removed."""
        # What people changed meanwhile is not in the key.
        if lease.content_key is not None and not lease.adjusted:
            await self.results.keep(lease.content_key, output)

    async def _dataset(self, config: DatasetConfig) -> Dataset | None:
        if config.dataset_id is None:
            return None
        return await self.bus.ask(GET_DATASET, GetDataset(dataset_id=config.dataset_id))

    async def _models(self, config: AgentConfig) -> tuple[Model, ...]:
        names = config.models if isinstance(config, ComparisonConfig) else []
        return tuple([await self.bus.ask(GET_MODEL, GetModel(model_id=name)) for name in names])

    async def _register(self, step: ClaimedStep, config: RegistrationConfig, log: StepLog) -> StepSucceeded:
        """RegistrationAgent: enters the model into the registry, once however often it is asked."""
        request = registration_of(step, config)
        log.say("INFO", f"Registering {request.model_name} ({', '.join(request.exports)})")
        model = await self.bus.ask(REGISTER_MODEL, request)
        log.say("INFO", f"Registered {model.model_name} as {model.model_id}")
        return StepSucceeded(output=RegistrationOutput(model_id=model.model_id, model_name=model.model_name))

    @asynccontextmanager
    async def _scratch(self, step: ClaimedStep) -> AsyncIterator[Path]:
        directory = self.folder / f"{step.step_id}-{step.fence}"
        try:
            yield directory
        finally:
            # Shielded, since a cancelled step leaves the most behind.
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True))
