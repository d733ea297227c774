"""Files on their way: out as a form, and in, in parts where a connection breaks."""

import hashlib
import mimetypes
import os
import secrets
import tarfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from llm_platform.core.effects import Answer, Body, Do, Read, Request, Sleep, Steps
from llm_platform.core.following import patient
from llm_platform.core.retrying import Retries, opening
from llm_platform.errors import ChecksumMismatch, ConnectionFailed, UnexpectedAnswer, refusal

Progress = Callable[[int, int | None], None]
"""Told the bytes that are through, and how many there are in all, None if nobody knows."""
FileName = str | os.PathLike[str]

PIECE = 256 * 1024
_SILENCE = 120.0
_NOTHING_THERE = 416


@dataclass
class Source:
    """A file that is sent, and the SHA-256 of what was."""

    path: Path
    name: str
    progress: Progress | None = None
    sha256: str = ""

    def form(self, fields: dict[str, str]) -> Body:
        """The file and the fields as a form, read from the disk as it goes out."""
        boundary = secrets.token_hex(16)
        head = "".join(_part(boundary, name, value) for name, value in fields.items()) + _file_head(boundary, self.name)
        start, end = head.encode(), f"\r\n--{boundary}--\r\n".encode()
        size = self.path.stat().st_size

        def pieces() -> Iterator[bytes]:
            yield start
            yield from self._read(size)
            yield end

        return Body(f"multipart/form-data; boundary={boundary}", pieces, len(start) + size + len(end))

    def _read(self, size: int) -> Iterator[bytes]:
        digest, sent = hashlib.sha256(), 0
        with self.path.open("rb") as reader:
            while piece := reader.read(PIECE):
                yield piece
                digest.update(piece)
                sent += len(piece)
                if self.progress is not None:
                    self.progress(sent, size)
        self.sha256 = digest.hexdigest()


def _part(boundary: str, name: str, value: str) -> str:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


def _file_head(boundary: str, name: str) -> str:
    quoted = name.replace("\\", "\\\\").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    media = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
        f"Content-Type: {media}\r\n\r\n"
    )


@dataclass(frozen=True)
class Fetched:
    """A file that has arrived whole."""

    path: Path
    name: str
    media: str
    sha256: str


def fetch(request: Request, folder: Path, retries: Retries, progress: Progress | None) -> Steps[Fetched]:
    """Fetches into a file in `folder`. Where the connection breaks it goes on at the byte where it was.

    Raises `ApiError`, `ConnectionFailed` when it breaks again and again, `ChecksumMismatch` when bytes are missing.
    """
    partial = _Partial(folder / f".{secrets.token_hex(8)}.partial", progress)
    retries, lost = patient(retries), 0
    try:
        while True:
            before = partial.size
            try:
                yield from _take(partial, request, retries)
            except ConnectionFailed:
                lost = 0 if partial.size > before else lost + 1
                if not partial.is_complete:
                    if not partial.tag or lost > retries.most or not retries.most:
                        raise
                    yield from Sleep(retries.pause(lost))
                    continue
            return partial.whole()
    except BaseException:
        with suppress(OSError):
            partial.path.unlink()
        raise


def _take(partial: "_Partial", request: Request, retries: Retries) -> Steps[None]:
    """Takes what is missing. It is nothing where all had come, and only its end was not seen."""
    answer = yield from opening(partial.wanted(request), retries, _SILENCE)
    if answer.status == _NOTHING_THERE:
        if answer.headers.get("content-range") != f"bytes */{partial.size}":
            raise refusal(answer.status, answer.headers, answer.body)
        return
    yield from Do(lambda: partial.begin(answer))
    while data := (yield from Read()):
        yield from Do(lambda: partial.add(data))


class _Partial:
    """What has come so far."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self.path = path
        self.size = 0
        self.tag = ""
        self._total: int | None = None
        self._name = "download"
        self._media = ""
        self._digest = ""
        self._progress = progress

    @property
    def is_complete(self) -> bool:
        """Whether it is known that nothing is missing."""
        return self.size == self._total

    def wanted(self, request: Request) -> Request:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if not (self.size and self.tag):
            return replace(request, headers=headers)
        part = {"Range": f"bytes={self.size}-", "If-Range": self.tag}
        return replace(request, headers=headers | part, also=_NOTHING_THERE)

    def begin(self, answer: Answer) -> None:
        """Goes on, or starts anew where what is sent is the whole: it may be something else by now."""
        if answer.status != 206:
            self.size = 0
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"")
            length = answer.headers.get("content-length")
            self._total = int(length) if length is not None else None
        self.tag = answer.headers.get("etag", "") if answer.headers.get("accept-ranges") == "bytes" else ""
        self._media = answer.headers.get("content-type", "")
        self._digest = answer.headers.get("repr-digest", "")
        self._name = _file_name(answer.headers.get("content-disposition", "")) or self._name

    def add(self, data: bytes) -> None:
        with self.path.open("ab") as writer:
            writer.write(data)
        self.size += len(data)
        if self._progress is not None:
            self._progress(self.size, self._total)

    def whole(self) -> Fetched:
        if self._total is not None and self.size != self._total:
            raise ChecksumMismatch(f"{self.size} bytes have come of {self._total}")
        with self.path.open("rb") as reader:
            digest = hashlib.file_digest(reader, "sha256")
        if self._digest and self._digest != f"sha-256=:{b64encode(digest.digest()).decode()}:":
            raise ChecksumMismatch(f"{self._name} has arrived as something else")
        return Fetched(self.path, self._name, self._media, digest.hexdigest())


def _file_name(disposition: str) -> str:
    """The name that a `Content-Disposition` gives, without any folder."""
    header = Message()
    header["Content-Disposition"] = disposition
    _, _, encoded = disposition.partition("filename*=UTF-8''")
    name = unquote(encoded) if encoded else header.get_filename() or ""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "" if last in (".", "..") else last


def unpack(archive: Path, folder: Path) -> dict[str, str]:
    """Unpacks a tar into `folder`, without the one folder that all its files are in; their names and SHA-256.

    Raises `UnexpectedAnswer`.
    """
    digests: dict[str, str] = {}
    for name, reader in _files(archive):
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise UnexpectedAnswer(f"The archive holds {name!r}, which is not below its folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as writer:
            digests[name] = _copied(reader, writer)
    return digests


def digests_of(archive: Path) -> dict[str, str]:
    """The names and SHA-256 of the files in a tar. Raises `UnexpectedAnswer`."""
    return {name: _copied(reader, None) for name, reader in _files(archive)}


def compare(arrived: Mapping[str, str], sent: Mapping[str, str]) -> None:
    """By name and SHA-256. What nobody knows the digest of passes. Raises `ChecksumMismatch`."""
    wrong = [name for name, digest in arrived.items() if sent.get(name, digest) != digest]
    if wrong or (sent and sent.keys() - arrived.keys()):
        raise ChecksumMismatch(f"Not as they were sent: {', '.join(wrong or sorted(sent.keys() - arrived.keys()))}")


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, mode="r:") as tar:
        for member in tar:
            reader = tar.extractfile(member) if member.isfile() else None
            if reader is None:
                raise UnexpectedAnswer(f"The archive holds {member.name!r}, which is no file")
            yield member.name.partition("/")[2] or member.name, reader


def _copied(reader: IO[bytes], writer: IO[bytes] | None) -> str:
    """The SHA-256 of what is read, and written if there is a place for it."""
    digest = hashlib.sha256()
    while piece := reader.read(PIECE):
        if writer is not None:
            writer.write(piece)
        digest.update(piece)
    return digest.hexdigest()
