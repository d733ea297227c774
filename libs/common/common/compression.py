"""Compressed files: known by their first bytes, and expanded within bounds while they are read."""

import gzip
import secrets
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Literal, cast

import zstandard

Compression = Literal["gzip", "zstd"]

SUFFIXES: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
"""The endings of file names that say so."""
_SIGNATURES: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_CHUNK = 1024 * 1024
_WINDOW_BYTES = 128 * 1024 * 1024
"""Most memory that a frame may ask for: what the `zstd` command takes without being told to take more."""


class Damaged(Exception):
    """The compressed file is broken; the message says how."""


class Endless(Exception):
    """The file expands to more than it may."""


def compression_of(head: bytes) -> Compression | None:
    """How the file that begins with `head` is compressed."""
    return next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)


def expanded(file: BinaryIO, compression: Compression, most_bytes: int) -> Iterator[bytes]:
    """The content of `file`, in chunks. Raises `Damaged` and, after `most_bytes`, `Endless`."""
    size = 0
    try:
        for chunk in _gunzipped(file) if compression == "gzip" else _unzstd(file):
            size += len(chunk)
            if size > most_bytes:
                raise Endless
            yield chunk
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise Damaged(str(error)) from error


def _gunzipped(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as reader:
        while chunk := reader.read(_CHUNK):
            yield chunk


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    """The library takes a file that was cut off for whole. So a frame of our own follows, and has to come out last."""
    ending = secrets.token_bytes(16)
    # Its checksum tells it from the same bytes taken for the rest of a frame that is not compressed.
    source = _Chained(file, zstandard.ZstdCompressor(write_checksum=True).compress(ending))
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    kept = b""
    with decompressor.stream_reader(cast(BinaryIO, source), read_across_frames=True, closefd=False) as reader:
        while chunk := reader.read(_CHUNK):
            kept += chunk
            yield kept[: -len(ending)]
            kept = kept[-len(ending) :]
    if kept != ending:
        raise EOFError("it ends in the middle of a frame")


class _Chained:
    """A file with something behind its end."""

    def __init__(self, file: BinaryIO, last: bytes) -> None:
        self._file = file
        self._last = last

    def read(self, size: int) -> bytes:
        if chunk := self._file.read(size):
            return chunk
        last, self._last = self._last, b""
        return last
