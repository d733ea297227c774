"""A run's log as server-sent events, each record with its place in the log as its id, and an end."""

from contextlib import aclosing
from typing import cast

from aiohttp import web

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import LogRecord
from contracts.pipeline import unknown_run
from gateway.deps import Deps
from gateway.edge.reading import read_request
from gateway.edge.streams import last_event_id, streaming
from gateway.routes.jobs import FollowLogs, LogEnd
from gateway.routes.table import Route
from gateway.run_log import RunLog, job_of


async def stream_logs(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(FollowLogs, await read_request(request, route))
    run_id, after = asked.run_id, last_event_id(request)
    with deps.endings.watching(run_id) as ended:
        try:
            job = await job_of(deps.bus, run_id)
        except Refused as refusal:
            raise unknown_run(run_id) if refusal.code is RefusalCode.NOT_FOUND else refusal from None
        heartbeat = deps.settings.heartbeat_seconds
        entries = RunLog(deps.bus, run_id, after, ended, heartbeat).entries(job)
        title = f"the log of run {run_id}"
        async with streaming(request, deps.following, title, heartbeat) as stream, aclosing(entries):
            async for entry in entries:
                if entry is not None and _is_asked_for(entry.record, asked):
                    await stream.send(entry.sequence, entry.record.model_dump_json(exclude_none=True).encode())
                elif entry is None or stream.is_too_silent:
                    # Also where all that comes is left out.
                    await stream.fill_silence()
            job = await job_of(deps.bus, run_id)
            await stream.end(LogEnd(run_id=run_id, status=job.status))
    return stream


def _is_asked_for(record: LogRecord, asked: FollowLogs) -> bool:
    return asked.level in (None, record.level) and asked.agent in (None, record.agent, record.agent_name)
