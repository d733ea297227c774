"""The files that a job's agents made: listed, and downloaded as they are."""

import asyncio
from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

from aiohttp import web

from common.objects import ObjectInfo, S3Path
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import GET_JOB_OUTPUTS, GetJob
from contracts.registry import ModelFile
from contracts.topology import ARTIFACTS_BUCKET
from gateway.deps import Deps
from gateway.domain.artifacts import name_of, places
from gateway.edge.reading import read_request
from gateway.edge.responses import json_response
from gateway.handlers.downloads import send_file
from gateway.routes.jobs import Artifact, ArtifactPage, GetArtifact, ListArtifacts
from gateway.routes.table import Route


async def list_artifacts(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(ListArtifacts, await read_request(request, route))
    found = sorted((await _found(deps, asked.job_id)).items())
    shown = found[asked.offset : asked.offset + asked.limit]
    stats = await asyncio.gather(*(deps.objects.stat(info.path) for _, info in shown))
    items = [
        Artifact(
            name=name,
            agent_name=name.partition("/")[0],
            size_bytes=stat.size,
            sha256=stat.sha256,
            s3_path=str(stat.path),
            url=f"/api/v1/jobs/{asked.job_id}/artifacts/{quote(name)}",
        )
        for (name, _), stat in zip(shown, stats, strict=True)
    ]
    return json_response(ArtifactPage.of(items, len(found), asked))


async def download_artifact(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(GetArtifact, await read_request(request, route))
    info = (await _found(deps, asked.job_id)).get(asked.name)
    if info is None:
        message = f"The job has no artifact {asked.name!r}"
        raise Refused(RefusalCode.NOT_FOUND, message, {"job_id": asked.job_id, "name": asked.name})
    stat = await deps.objects.stat(info.path)
    place = stat.path
    file = ModelFile(name=asked.name, bucket=place.bucket, key=place.key, size=stat.size, sha256=stat.sha256)
    return await send_file(deps, request, file)


async def _found(deps: Deps, job_id: str) -> Mapping[str, ObjectInfo]:
    """The objects that its agents' outputs name and that are there, by name."""
    outputs = (await deps.bus.ask(GET_JOB_OUTPUTS, GetJob(job_id=job_id))).outputs
    # What agents read lies elsewhere, and was not made by the job.
    wanted = [(agent, path) for agent, path in places(outputs) if S3Path.parse(path).bucket == ARTIFACTS_BUCKET]
    listed = await asyncio.gather(*(deps.objects.list(S3Path.parse(path)) for _, path in wanted))
    found: dict[str, ObjectInfo] = {}
    for (agent, path), infos in zip(wanted, listed, strict=True):
        for info in infos:
            if (name := name_of(agent, path, info.path.key)) is not None:
                found.setdefault(name, info)
    return found
