"""Downloads of models: a file as it is, several as a tar archive that is made while it is sent; whole or in part."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from aiohttp import web

from common.objects import S3Path, attachment, media_type_of
from contracts.base import RefusalCode, Refused
from contracts.registry import GET_DOWNLOAD, Download, GetDownload, ModelFile
from gateway.deps import Deps
from gateway.domain.archive import Member, Piece, Stretch, archive, cut, size_of
from gateway.edge.reading import read_request
from gateway.edge.responses import json_response, refused
from gateway.routes.models import DownloadModel, PresignedDownload, PresignedFile
from gateway.routes.table import Family, Route


async def download_model(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(DownloadModel, await read_request(request, route))
    wanted = GetDownload(model_id=asked.model_id, format=asked.format, quantization=asked.quantization)
    download = await deps.bus.ask(GET_DOWNLOAD, wanted)
    if not download.files:
        raise Refused(RefusalCode.STORAGE_FAILED, f"The {asked.format} export of {asked.model_id} has no files")
    if asked.presigned:
        return await _presign(deps, download)
    if len(download.files) == 1:
        (file,) = download.files
        return await send_file(deps, request, file, name=_saved_as(download, file))
    return await _send_archive(deps, request, download)


async def _presign(deps: Deps, download: Download) -> web.StreamResponse:
    seconds = deps.settings.presigned_seconds
    expires = timedelta(seconds=seconds)
    urls = await asyncio.gather(
        *(deps.objects.presign_get(_path(file), expires, _saved_as(download, file)) for file in download.files)
    )
    files = [
        PresignedFile(name=file.name, url=url, size=file.size, sha256=file.sha256)
        for file, url in zip(download.files, urls, strict=True)
    ]
    return json_response(PresignedDownload(url=urls[0] if len(urls) == 1 else None, expires_in=seconds, files=files))


def _saved_as(download: Download, file: ModelFile) -> str:
    """Files called `model-Q8_0.gguf` and the like are named by their model."""
    return re.sub("^model(?=-)", download.model_name, file.name.rsplit("/", 1)[-1])


async def send_file(
    deps: Deps, request: web.Request, file: ModelFile, *, name: str | None = None
) -> web.StreamResponse:
    """A file as it is, or the part of it that is asked for; under its own name if it is given no other."""
    name = name or file.name.rsplit("/", 1)[-1]
    return await _send(deps, request, _Content(name, media_type_of(name), [file], [Stretch(0, 0, file.size)]))


async def _send_archive(deps: Deps, request: web.Request, download: Download) -> web.StreamResponse:
    folder = f"{download.model_name}-{download.format}"
    members = [Member(f"{folder}/{file.name}", file.size) for file in download.files]
    sums = "".join(f"{file.sha256}  {file.name}\n" for file in download.files if file.sha256 is not None)
    # As `sha256sum --check` reads it.
    pieces = archive(members, (f"{folder}/SHA256SUMS", sums)) if sums else archive(members)
    return await _send(deps, request, _Content(f"{folder}.tar", "application/x-tar", download.files, pieces))


_NOTHING = (0, 0)


@dataclass(frozen=True)
class _Content:
    """What is sent, as a file of that name, and the objects that its pieces are of."""

    name: str
    media: str
    files: Sequence[ModelFile]
    pieces: Sequence[Piece]

    @property
    def size(self) -> int:
        return sum(size_of(piece) for piece in self.pieces)


async def _send(deps: Deps, request: web.Request, content: _Content) -> web.StreamResponse:
    # An object that is not there is refused before the answer has begun.
    tag = await _entity_tag(deps, content)
    asked = _range(request, tag, content.size)
    if asked == _NOTHING:
        return _no_such_part(content.size)
    start, stop = asked or (0, content.size)
    async with aclosing(_bytes_of(deps, content, start, stop)) as chunks:
        first = b"" if request.method == "HEAD" else await anext(chunks, b"")
        response = web.StreamResponse(
            status=206 if asked else 200,
            headers={
                "Content-Type": content.media,
                "Content-Disposition": attachment(content.name),
                "Accept-Ranges": "bytes",
                "ETag": tag,
                **({"Content-Range": f"bytes {start}-{stop - 1}/{content.size}"} if asked else {}),
                **_digest(content),
            },
        )
        response.content_length = stop - start
        await response.prepare(request)
        if request.method != "HEAD":
            await response.write(first)
            async for chunk in chunks:
                await response.write(chunk)
        await response.write_eof()
    return response


def _no_such_part(size: int) -> web.StreamResponse:
    """What whoever has all of it already hears when going on at its end."""
    response = refused(Refused(RefusalCode.INVALID, f"There are {size} bytes, and none in that range"), Family.PIPELINE)
    response.set_status(416)
    response.headers["Content-Range"] = f"bytes */{size}"
    return response


def _digest(content: _Content) -> dict[str, str]:
    """Of the whole, also where a part is sent (RFC 9530): of one file, where it is known."""
    (file, *others) = content.files
    if others or file.sha256 is None:
        return {}
    return {"Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(file.sha256)).decode()}:"}


async def _entity_tag(deps: Deps, content: _Content) -> str:
    """Changes with what is sent: whoever goes on in the middle goes on with the same bytes."""
    stats = await asyncio.gather(*(deps.objects.stat(_path(file)) for file in content.files))
    parts = [
        content.name,
        *(f"{file.name} {stat.size} {stat.etag}" for file, stat in zip(content.files, stats, strict=True)),
    ]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f'"{digest}"'


def _range(request: web.Request, tag: str, size: int) -> tuple[int, int] | None:
    """The part that is asked for, or `_NOTHING` where it holds no byte; None for the whole: also where what was sent is

    no more, and where what is asked for is not understood (RFC 9110, 14.2).
    """
    if request.method != "GET" or request.headers.get("If-Range", tag) != tag:
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None
    if asked == slice(None, None, 1):
        return None
    start, stop, _ = asked.indices(size)
    return (start, stop) if start < stop else _NOTHING


async def _bytes_of(deps: Deps, content: _Content, start: int, stop: int) -> AsyncGenerator[bytes, None]:
    """Raises `Refused` when an object has not the bytes that were said, since a header said so too."""
    for piece in cut(content.pieces, start, stop):
        if isinstance(piece, bytes):
            yield piece
            continue
        file, size = content.files[piece.index], 0
        async with aclosing(deps.objects.get_stream(_path(file), piece.offset, piece.length)) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                yield chunk
        if size != piece.length:
            raise Refused(RefusalCode.STORAGE_FAILED, f"{file.name} has fewer bytes than were said")


def _path(file: ModelFile) -> S3Path:
    return S3Path(file.bucket, file.key)
