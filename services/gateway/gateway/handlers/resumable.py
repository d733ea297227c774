"""Uploads that can be resumed, by tus 1.0: created, sent piece by piece, asked for, given up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import format_datetime

from aiohttp import hdrs, web

from common.context import current
from contracts.base import RefusalCode, Refused
from gateway.deps import Deps
from gateway.domain.resumable import Upload, state_of
from gateway.domain.uploads import new_dataset_id
from gateway.edge import tus
from gateway.edge.reading import next_piece, too_large
from gateway.edge.responses import json_response, refused
from gateway.errors import invalid_fields, tell
from gateway.routes.table import Family, Route
from gateway.store import uploads

_CHUNK = 256 * 1024

Answer = Callable[[Deps, Route, web.Request], Awaitable[web.StreamResponse]]


def by_tus(answer: Answer) -> Answer:
    """Says with every answer, refusals too, which version is spoken, and takes nothing from who speaks another."""

    async def speak(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
        response = await _answer(answer, deps, route, request)
        response.headers["Tus-Resumable"] = tus.VERSION
        return response

    return speak


async def _answer(answer: Answer, deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    if request.method == hdrs.METH_OPTIONS:
        return web.Response(status=204, headers=tus.abilities(deps.settings.max_upload_bytes))
    if not tus.is_spoken(request.headers):
        refusal = invalid_fields([("Tus-Resumable", f"must be {tus.VERSION}")])
        body = tell(refusal, Family.PIPELINE).body
        return json_response(body, 412, headers={"Tus-Version": tus.VERSION})
    try:
        return await answer(deps, route, request)
    except Refused as refusal:
        return refused(refusal, Family.PIPELINE)


@by_tus
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


@by_tus
async def get_upload(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """Answers HEAD as well, by which clients learn where to go on."""
    upload = await _mine(deps, request)
    return json_response(state_of(upload), headers=_headers(upload))


@by_tus
async def append_upload(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """Once all bytes are there, the answer says whether they are a data set."""
    if request.content_type != tus.CONTENT_TYPE:
        raise invalid_fields([("Content-Type", f"must be {tus.CONTENT_TYPE}")])
    offset = tus.number(request.headers, "Upload-Offset")
    upload = await _mine(deps, request)
    async with deps.database.connection() as connection:
        claimed = await uploads.claim(connection, upload.dataset_id)
    upload = claimed or await _mine(deps, request)
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


@by_tus
async def end_upload(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    await deps.uploading.drop(await _mine(deps, request))
    return web.Response(status=204)


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
    while chunk := await next_piece(request.content.read(_CHUNK)):
        yield chunk


def _headers(upload: Upload) -> dict[str, str]:
    return {
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.length),
        "Upload-Expires": format_datetime(upload.expires_at, usegmt=True),
    }
