"""Uploads that go on where they broke off, by tus 1.0 (https://tus.io/protocols/resumable-upload)."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator

from llm_platform.core.effects import Body, Do, Request, Sleep, Steps
from llm_platform.core.following import patient
from llm_platform.core.requests import at, read
from llm_platform.core.retrying import Retries, exchange
from llm_platform.core.transfers import PIECE, Source
from llm_platform.core.waiting import wait_for
from llm_platform.errors import ApiError, Conflict, ConnectionFailed, InvalidRequest, RateLimited, ServerFailed
from llm_platform.schemas.record import Record

_BASE = "/api/v1/datasets/uploads"
_VERSION = {"Tus-Resumable": "1.0.0"}
_MEDIA = "application/offset+octet-stream"
_PASSING = (ConnectionFailed, Conflict, RateLimited, ServerFailed)
"""After which it is worth asking how much is there. A conflict: it is more, or less, than was thought."""
_STORED = "stored"
_LOOK_EVERY = 2.0
_ENTERED_IN = 600.0
"""Seconds; a platform takes up what its dead left within four minutes, and again four minutes later."""


class _State(Record):
    upload_id: str
    offset: int
    status: str
    dataset_id: str | None = None
    error: str | None = None


def send(source: Source, fields: dict[str, str], retries: Retries) -> Steps[str]:
    """Sends the file; the id of the data set that it became.

    Raises `ConnectionFailed` when the connection breaks again and again, and `ApiError` when the file is refused.
    """
    size = source.path.stat().st_size
    path, offset = (yield from _begun(source, fields, size, retries)), 0
    retries, lost = patient(retries), 0
    while True:
        headers = {**_VERSION, "Upload-Offset": str(offset)}
        body = Body(_MEDIA, lambda: _rest(source, offset, size), size - offset)  # noqa: B023 - done at once
        try:
            sent = yield from exchange(Request("PATCH", path, headers=headers, body=body), retries)
            return sent.headers["location"].rsplit("/", 1)[-1]
        except _PASSING:
            if lost >= retries.most:
                raise
        yield from Sleep(retries.pause(lost))
        state = yield from _outcome(path, source, retries)
        if state.dataset_id is not None:
            return state.dataset_id
        if state.error is not None:
            raise InvalidRequest(400, "DATASET_ERROR", state.error)
        lost = 0 if state.offset > offset else lost + 1
        offset = state.offset


def _outcome(path: str, source: Source, retries: Retries) -> Steps[_State]:
    """What has become of it: of one that is whole once the platform has entered it, to which nobody can add."""

    def look() -> Steps[_State]:
        return read((yield from exchange(Request("GET", path), retries)).body, _State)

    def is_told(state: _State) -> bool:
        return state.status != _STORED

    return (yield from wait_for(look, is_told, f"Entering {source.name}", every=_LOOK_EVERY, timeout=_ENTERED_IN))


def digest_of(source: Source) -> Steps[str]:
    """The SHA-256 of the file as it is on the disk."""

    def work() -> str:
        with source.path.open("rb") as reader:
            return hashlib.file_digest(reader, "sha256").hexdigest()

    return (yield from Do(work))


def is_unknown(error: ApiError) -> bool:
    """Whether the platform is one that takes no such uploads."""
    return error.status in (404, 405)


def _begun(source: Source, fields: dict[str, str], size: int, retries: Retries) -> Steps[str]:
    told = {"filename": source.name, **fields}
    metadata = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in told.items())
    headers = {**_VERSION, "Upload-Length": str(size), "Upload-Metadata": metadata}
    # One that is begun twice expires by itself.
    begun = yield from exchange(Request("POST", _BASE, headers=headers, once=True), retries)
    return at(_BASE, read(begun.body, _State).upload_id)


def _rest(source: Source, offset: int, size: int) -> Iterator[bytes]:
    with source.path.open("rb") as reader:
        reader.seek(offset)
        sent = offset
        while piece := reader.read(PIECE):
            yield piece
            sent += len(piece)
            if source.progress is not None:
                source.progress(sent, size)
