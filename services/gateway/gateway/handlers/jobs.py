"""The end of a job: cancelled, or deleted once it has ended."""

from typing import cast

from aiohttp import web

from contracts.orchestrator import CANCEL_JOB, DELETE_JOB, GetJob
from gateway.deps import Deps
from gateway.edge.reading import read_request
from gateway.edge.responses import json_response
from gateway.routes.jobs import EndJob
from gateway.routes.table import Route


async def end_job(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(EndJob, await read_request(request, route))
    job = GetJob(job_id=asked.job_id)
    if asked.purge:
        return json_response(await deps.bus.ask(DELETE_JOB, job))
    return json_response(await deps.bus.ask(CANCEL_JOB, job))
