"""Downloads of models: a file as it is, several as a tar archive that is made while it is sent."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import cast
from urllib.parse import quote

from aiohttp import web

from common.objects import S3Path
from contracts.base import RefusalCode, Refused
from contracts.registry import GET_DOWNLOAD, Download, GetDownload, ModelFile
from gateway.deps import Deps
from gateway.domain.archive import Member, archive_size, ending
from gateway.edge.reading import read_request
from gateway.edge.responses import json_response
from gateway.errors import invalid_fields
from gateway.routes.pipeline import DownloadModel, PresignedDownload
from gateway.routes.table import Route


async def download_model(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(DownloadModel, await read_request(request, route))
    download = await deps.bus.ask(GET_DOWNLOAD, GetDownload(model_id=asked.model_id, format=asked.format))
    if not download.files:
        raise Refused(RefusalCode.STORAGE_FAILED, f"The {asked.format} export of {asked.model_id} has no files")
    if asked.presigned:
        return await _presign(deps, download)
    if len(download.files) == 1:
        return await _send_file(deps, request, download.files[0])
    return await _send_archive(deps, request, download)


async def _presign(deps: Deps, download: Download) -> web.StreamResponse:
    if len(download.files) != 1:
        raise invalid_fields([("presigned", f"the {download.format} export has several files: download the archive")])
    seconds = deps.settings.presigned_seconds
    url = await deps.objects.presign_get(_path(download.files[0]), timedelta(seconds=seconds))
    return json_response(PresignedDownload(url=url, expires_in=seconds))


async def _send_file(deps: Deps, request: web.Request, file: ModelFile) -> web.StreamResponse:
    name = file.name.rsplit("/", 1)[-1]
    return await _send(request, name, "application/octet-stream", file.size, _bytes_of(deps, file))


async def _send_archive(deps: Deps, request: web.Request, download: Download) -> web.StreamResponse:
    folder = f"{download.model_name}-{download.format}"
    now = int(time.time())
    members = [(Member(f"{folder}/{file.name}", file.size), file) for file in download.files]

    async def content() -> AsyncGenerator[bytes, None]:
        for member, file in members:
            # With the first bytes, so that nothing is sent of an archive whose first file is not there.
            header = member.header(now)
            async with aclosing(_bytes_of(deps, file)) as chunks:
                async for chunk in chunks:
                    yield header + chunk
                    header = b""
            yield header + member.padding()
        yield ending()

    size = archive_size([member for member, _ in members], now)
    return await _send(request, f"{folder}.tar", "application/x-tar", size, content())


async def _bytes_of(deps: Deps, file: ModelFile) -> AsyncGenerator[bytes, None]:
    """The object's bytes; raises `Refused` when they are not as many as was said, since a header said so too."""
    size = 0
    async with aclosing(deps.objects.get_stream(_path(file))) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            yield chunk
    if size != file.size:
        raise Refused(RefusalCode.STORAGE_FAILED, f"{file.name} has {size} bytes instead of {file.size}")


async def _send(
    request: web.Request, name: str, media: str, size: int, content: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    async with aclosing(content) as chunks:
        # An object that is not there is refused before the answer has begun.
        first = await anext(chunks, b"")
        response = web.StreamResponse(
            headers={"Content-Type": media, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        )
        response.content_length = size
        await response.prepare(request)
        await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    return response


def _path(file: ModelFile) -> S3Path:
    return S3Path(file.bucket, file.key)
