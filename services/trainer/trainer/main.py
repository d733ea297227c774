"""The trainer: does the work of pipeline steps. Any number may run, with and without GPUs; this constructs one."""

import os
import secrets
import socket
from functools import partial

from common.service import Service, run
from trainer.engine.child_process import ChildProcess
from trainer.engine.fingerprints import fingerprint_code
from trainer.engine.orders import StorageAccess
from trainer.engine.work_folder import own_folder
from trainer.settings import Settings
from trainer.worker.leases import Leases
from trainer.worker.leftovers import Leftovers
from trainer.worker.performing import Performer
from trainer.worker.results import Results
from trainer.worker.run_log import RunLog
from trainer.worker.worker import Worker


async def build(service: Service, settings: Settings) -> None:
    """Starts the children first: they import what they need while we connect."""
    children = [ChildProcess() for _ in range(settings.slots)]
    for child in children:
        service.stack.push_async_callback(child.close)
        await child.start()
    models_dir = settings.models_dir.resolve()
    folder = service.stack.enter_context(own_folder(settings.work_dir.resolve()))
    bus = await service.bus()
    database = await service.database("trainer")
    objects = service.object_store()
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    storage = StorageAccess(
        endpoint=settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value(),
        region=settings.s3_region,
        bucket_prefix=settings.s3_bucket_prefix,
    )
    results = Results(database, objects, models_dir, fingerprint_code())
    worker = Worker(
        bus=bus,
        leases=Leases(bus, worker_id),
        run_log=RunLog(bus),
        performer=Performer(bus, results, storage, settings.limits, models_dir, folder),
        objects=objects,
        worker_id=worker_id,
        agent_classes=settings.agent_classes,
        poll_seconds=settings.poll_seconds,
    )
    service.spawn("run log", worker.run_log.run)
    service.spawn("heartbeats", worker.leases.run)
    service.spawn("steering", worker.leases.follow_hints)
    service.spawn("leftovers", Leftovers(bus, objects, results, interval=settings.sweep_seconds).run)
    for number, child in enumerate(children, 1):
        service.spawn(f"slot {number}", partial(worker.run_slot, child))
    # Last in, first out: work is given back while heartbeats, log and bus still go.
    service.stack.push_async_callback(worker.close)


if __name__ == "__main__":
    run("trainer", Settings, build)
