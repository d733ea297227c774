"""Uploads that can be resumed, by tus 1.0: created, sent piece by piece, asked for, given up."""

import asyncio
from collections.abc import AsyncIterator
from email.utils import format_datetime

from aiohttp import web

from common.context import current
from contracts.base import RefusalCode, Refused
from gateway.deps import Deps
from gateway.domain.resumable import Upload, state_of
from gateway.domain.uploads import new_dataset_id
from gateway.edge import tus
from gateway.edge.reading import too_large
from gateway.edge.responses import json_response
from gateway.errors import invalid_fields
from gateway.routes.table import Route
from gateway.store import uploads

_CHUNK = 256 * 1024


async def create_upload(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    wanted = tus.wanted(request.headers)
    limit = deps.settings.max_upload_bytes
    if wanted.length > limit:
        raise too_large(limit)
    async with deps.database.connection() as connection:
        upload = await uploads.add(
            connection,
            new_dataset_id(),
            current().owner,
            wanted.filename,
            wanted.format,
            wanted.length,
            deps.settings.upload_seconds,
        )
    location = f"{request.path}/{upload.dataset_id}"
    return json_response(state_of(upload), 201, headers=_headers(upload) | {"Location": location})


async def get_upload(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """Answers HEAD as well, by which clients learn where to go on."""
    upload = await _mine(deps, request)
    return json_response(state_of(upload), headers=_headers(upload))


async def append_upload(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """Once all bytes are there, the answer says whether they are a data set."""
    tus.check_version(request.headers)
    if request.content_type != tus.CONTENT_TYPE:
        raise invalid_fields([("Content-Type", f"must be {tus.CONTENT_TYPE}")])
    offset = tus.number(request.headers, "Upload-Offset")
    await _mine(deps, request)
    async with deps.database.connection() as connection:
        upload = await uploads.claim(connection, request.match_info["upload_id"])
    if upload is None:
        raise _unknown(request)
    if offset != upload.offset or upload.status != "receiving":
        message = f"{upload.offset} bytes are there: go on behind them"
        raise Refused(RefusalCode.CONFLICT, message, {"offset": upload.offset})
    offset = await deps.uploading.append(upload, _chunks(request))
    headers = _headers(upload) | {"Upload-Offset": str(offset)}
    if offset == upload.length:
        # All bytes are here: a client that goes away now does not undo the upload.
        dataset = await asyncio.shield(asyncio.ensure_future(deps.uploading.enter(upload)))
        headers["Location"] = f"/api/v1/datasets/{dataset.dataset_id}"
    return web.Response(status=204, headers=headers)


async def end_upload(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    await deps.uploading.drop(await _mine(deps, request))
    return web.Response(status=204, headers={"Tus-Resumable": tus.VERSION})


async def _mine(deps: Deps, request: web.Request) -> Upload:
    """Others' uploads are told like those that there are not."""
    async with deps.database.connection() as connection:
        upload = await uploads.find(connection, request.match_info["upload_id"].replace("\0", ""))
    if upload is None or not current().controls(upload.owner):
        raise _unknown(request)
    return upload


def _unknown(request: web.Request) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"There is no upload {request.match_info['upload_id']}, or it has expired")


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_chunked(_CHUNK):
        yield chunk


def _headers(upload: Upload) -> dict[str, str]:
    return {
        "Tus-Resumable": tus.VERSION,
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.length),
        "Upload-Expires": format_datetime(upload.expires_at, usegmt=True),
    }
