"""The composition root of the orchestrator: `python -m orchestrator.main`."""

from functools import partial

from common.outbox import OutboxRelay
from common.service import Service, run
from orchestrator.deps import Deps
from orchestrator.domain.tasks.plans import STEP_KIND as TASK_STEP
from orchestrator.domain.workflows.runs import STEP_KIND as PAYLOAD_STEP
from orchestrator.engine import direct, executions, job_removal
from orchestrator.engine.log_keeper import LogKeeper
from orchestrator.engine.payload_steps import PayloadSteps
from orchestrator.engine.reaper import Reaper
from orchestrator.engine.scheduler import Scheduler
from orchestrator.engine.step_worker import StepWorker
from orchestrator.engine.task_steps import do_task_step
from orchestrator.handlers import HANDLERS
from orchestrator.settings import Settings

_DAY = 24 * 3600.0


async def build(service: Service, settings: Settings) -> None:
    database = await service.database("orchestrator", plan_once=True)
    bus = await service.bus()
    relay = OutboxRelay(database, bus)
    deps = Deps(database=database, bus=bus, relay=relay, policy=settings.policy)
    keeper = LogKeeper(database, bus, retention=settings.log_retention_days * _DAY)
    work = {TASK_STEP: do_task_step, PAYLOAD_STEP: PayloadSteps().do}
    worker = StepWorker(deps, work, concurrency=settings.task_concurrency)
    service.spawn("relay", relay.run)
    service.spawn("reaper", Reaper(deps, interval=settings.reap_interval_seconds).run)
    service.spawn("scheduler", Scheduler(deps, interval=settings.schedule_interval_seconds).run)
    service.spawn("log_writer", keeper.write)
    service.spawn("log_retention", keeper.expire)
    service.spawn("job_removal", partial(job_removal.keep, deps, retention=settings.job_retention))
    service.spawn("step_worker", worker.run)
    service.spawn("answering", partial(direct.keep, deps))
    service.spawn("executions", partial(executions.keep, deps))
    service.stack.push_async_callback(direct.stop_all, deps)
    service.stack.push_async_callback(executions.stop_all, deps)
    await bus.serve(HANDLERS, deps)
    # At the end what is being answered may end, and only then do the parts above close.
    service.stack.push_async_callback(bus.drain)


if __name__ == "__main__":
    run("orchestrator", Settings, build)
