"""Uploads of data sets: the file streams to the object store as it arrives, then the registry enters it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import get_args

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from common.objects import S3Path, Stored
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetFormat
from contracts.registry import GET_DATASET, REGISTER_DATASET, Dataset, GetDataset, RegisterDataset
from contracts.topology import DATASETS_BUCKET
from gateway.deps import Deps
from gateway.domain.uploads import new_dataset_id, safe_filename
from gateway.edge.reading import next_piece, too_large
from gateway.edge.responses import respond
from gateway.errors import invalid_fields
from gateway.routes.table import Route

_log = get_logger("uploads")
_CHUNK = 256 * 1024
_LONGEST_FORMAT = 64
_FORM_OVERHEAD = 64 * 1024
_MALFORMED = (ValueError, AssertionError, RuntimeError, HttpProcessingError)
_UNSETTLED = (RefusalCode.TIMEOUT, RefusalCode.INTERNAL)
_IN_DOUBT = (RefusalCode.TIMEOUT, RefusalCode.UNAVAILABLE)
"""The registry may be entering the data set this very moment."""


async def upload_dataset(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    upload = _Upload(deps, new_dataset_id())
    try:
        await upload.receive(request)
        registration = upload.registration()
    except BaseException:
        await asyncio.shield(upload.discard())
        raise
    # All bytes are here: a client that goes away now does not undo the upload.
    return respond(route, await asyncio.shield(asyncio.ensure_future(upload.register(registration))))


@dataclass(frozen=True)
class _File:
    name: str
    stored: Stored


class _Upload:
    """One upload: what has come of its form, and what must be taken back if it is refused."""

    def __init__(self, deps: Deps, dataset_id: str) -> None:
        self._deps = deps
        self._limit = deps.settings.max_upload_bytes
        self._dataset_id = dataset_id
        self._path: S3Path | None = None
        self._file: _File | None = None
        self._format: DatasetFormat | None = None

    async def receive(self, request: web.Request) -> None:
        """Reads the form part by part. Raises `Refused`."""
        if request.content_type != "multipart/form-data":
            raise invalid_fields([("body", "must be multipart/form-data")])
        if request.content_length is not None and request.content_length > self._limit + _FORM_OVERHEAD:
            raise too_large(self._limit)
        try:
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                await self._take(part)
        except _MALFORMED as error:
            raise invalid_fields([("body", f"not a well-formed form: {error}")]) from None

    def registration(self) -> RegisterDataset:
        """What to tell the registry. Raises `Refused` when there is no file."""
        if self._file is None or self._path is None:
            raise invalid_fields([("file", "field required")])
        return RegisterDataset(
            dataset_id=self._dataset_id,
            filename=self._file.name,
            format=self._format,
            s3_path=str(self._path),
            size_bytes=self._file.stored.size,
            sha256=self._file.stored.sha256,
        )

    async def register(self, registration: RegisterDataset) -> Dataset:
        """Enters the data set; if it is refused, the object goes again.

        While that is in doubt the object stays: the registry removes it later, should no data set refer to it.
        """
        try:
            entered = await self._deps.bus.ask(REGISTER_DATASET, registration)
            if entered.dataset_id != self._dataset_id:
                # This very content was there already, under this name.
                await self.discard()
            return entered
        except Refused as refusal:
            if refusal.code in _UNSETTLED and (dataset := await self._entered_after_all()) is not None:
                return dataset
            if refusal.code not in _IN_DOUBT:
                await self.discard()
            raise

    async def discard(self) -> None:
        """Takes the object back. It may be there even if the upload was cut off: the last part can still arrive."""
        if self._path is None:
            return
        try:
            await self._deps.objects.remove(self._path)
        except Refused as refusal:
            _log.warning("upload_not_discarded", path=str(self._path), error=refusal.message)

    async def _entered_after_all(self) -> Dataset | None:
        """The data set, if it was entered although no answer came.

        Raises `Refused` while nobody can tell: then the object stays, since a data set may refer to it.
        """
        try:
            return await self._deps.bus.ask(GET_DATASET, GetDataset(dataset_id=self._dataset_id))
        except Refused as refusal:
            if refusal.code is RefusalCode.NOT_FOUND:
                return None
            _log.warning("upload_unsettled", dataset_id=self._dataset_id, error=refusal.message)
            raise

    async def _take(self, part: MultipartReader | BodyPartReader) -> None:
        if isinstance(part, MultipartReader):
            raise invalid_fields([("body", "parts within parts are not taken")])
        match part.name:
            case "file":
                await self._take_file(part)
            case "format":
                await self._take_format(part)
            case name:
                # One that is no UTF-8 arrives as surrogates, which no JSON can carry.
                known = (name or "body").encode(errors="replace").decode()
                raise invalid_fields([(known, "unknown field; there are `file` and `format`")])

    async def _take_file(self, part: BodyPartReader) -> None:
        if self._file is not None:
            raise invalid_fields([("file", "given more than once")])
        if not part.filename:
            raise invalid_fields([("file", "must be a file with a name")])
        name = safe_filename(part.filename)
        first = await next_piece(part.read_chunk(_CHUNK))
        if not first:
            raise Refused(RefusalCode.DATASET_INVALID, f"The file {name} is empty", {"field": "file"})
        self._path = S3Path(DATASETS_BUCKET, f"{self._dataset_id}/{name}")
        self._file = _File(name, await self._deps.objects.put_stream(self._path, self._bounded(first, part)))

    async def _bounded(self, first: bytes, part: BodyPartReader) -> AsyncIterator[bytes]:
        chunk, size = first, 0
        while chunk:
            size += len(chunk)
            if size > self._limit:
                raise too_large(self._limit)
            yield chunk
            chunk = await next_piece(part.read_chunk(_CHUNK))

    async def _take_format(self, part: BodyPartReader) -> None:
        text = (await part.read_chunk(_LONGEST_FORMAT)).decode(errors="replace").strip().lower()
        known: tuple[DatasetFormat, ...] = get_args(DatasetFormat)
        found = next((known_format for known_format in known if known_format == text), None)
        if text and found is None:
            raise invalid_fields([("format", f"must be one of {', '.join(known)}")])
        self._format = found
