"""Fetches an uploaded object, or a part of one, and has a process of its own read it."""

import asyncio
import hashlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from common.datafiles.limits import Limits
from common.objects import ObjectStore, S3Path
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetFormat, invalid_dataset
from contracts.registry import Dataset, RegisterDataset, TokenLengths
from registry.domain.inspections import Inspection
from registry.domain.pages import Mark, RowRange, excerpt
from registry.domain.samples import Json
from registry.engine.inspection_process import TOO_HUNGRY, Order, Verdict

_log = get_logger("inspector")
_PASSED_ON = ("PYTHONPATH", "LD_LIBRARY_PATH")
MEMORY_KEPT = {"MALLOC_MMAP_THRESHOLD_": str(64 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
"""Has glibc keep the memory of one part of a file for the next: to take it anew costs a tenth of all the time."""
_KILLED_BY_A_PARSER = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGKILL}


@dataclass(frozen=True)
class Bounds:
    """What inspections may take: together `at_once` processes, each a file, memory and time."""

    at_once: int
    file_bytes: int
    memory_bytes: int
    seconds: int
    limits: Limits


@dataclass(frozen=True)
class Inspected:
    """What a whole object holds; `sha256` of its bytes."""

    inspection: Inspection
    sha256: str


class Inspector(Protocol):
    """Says what an uploaded object holds.

    Raises `Refused`: DATASET_INVALID for what is no data set, STORAGE_FAILED when the object cannot be had.
    """

    async def inspect(self, upload: RegisterDataset) -> Inspected:
        """All of it: nothing is known yet."""

    async def read(self, dataset: Dataset, marks: Sequence[Mark], wanted: RowRange) -> list[Json]:
        """Some rows of it."""

    async def count(
        self, dataset: Dataset, marks: Sequence[Mark], wanted: RowRange, column: str, tokenizer: Path
    ) -> TokenLengths:
        """The tokens that some rows have in one column."""


class ProcessInspector:
    """An `Inspector` that reads at most `bounds.at_once` objects at a time; more wait in line.

    That bounds the disk as well: the copies have no name, so that even a crash leaves nothing behind.
    """

    def __init__(self, objects: ObjectStore, folder: Path, bounds: Bounds) -> None:
        self._objects = objects
        self._folder = folder
        self._bounds = bounds
        self._slots = asyncio.Semaphore(bounds.at_once)

    async def inspect(self, upload: RegisterDataset) -> Inspected:
        if upload.size_bytes > self._bounds.file_bytes:
            raise invalid_dataset(f"The file is larger than {self._bounds.file_bytes} bytes")
        async with self._copy() as copy:
            digest = hashlib.sha256()
            await self._fetch(upload.s3_path, ((0, upload.size_bytes),), copy, digest.update)
            sha256 = digest.hexdigest()
            if upload.sha256 is not None and sha256 != upload.sha256.lower():
                raise _differs(upload.s3_path)
            verdict = await self._ask(self._order(upload.filename, upload.format), upload.dataset_id, copy)
        if verdict.inspection is None:
            raise RuntimeError(f"the inspection of {upload.dataset_id} said nothing")
        return Inspected(verdict.inspection, sha256)

    async def read(self, dataset: Dataset, marks: Sequence[Mark], wanted: RowRange) -> list[Json]:
        return (await self._look(dataset, marks, wanted)).rows or []

    async def count(
        self, dataset: Dataset, marks: Sequence[Mark], wanted: RowRange, column: str, tokenizer: Path
    ) -> TokenLengths:
        verdict = await self._look(dataset, marks, wanted, column=column, tokenizer=tokenizer)
        if verdict.tokens is None:
            raise RuntimeError(f"the count of {dataset.dataset_id} said nothing")
        return verdict.tokens

    async def _look(self, dataset: Dataset, marks: Sequence[Mark], wanted: RowRange, **further: Any) -> Verdict:
        part = excerpt(marks, dataset.size_bytes, wanted)
        async with self._copy() as copy:
            await self._fetch(dataset.s3_path, part.parts, copy)
            order = self._order(dataset.filename, dataset.format, part.rows).model_copy(update=further)
            return await self._ask(order, dataset.dataset_id, copy)

    @asynccontextmanager
    async def _copy(self) -> AsyncIterator[IO[bytes]]:
        async with self._slots:
            with await asyncio.to_thread(_nameless_file, self._folder) as copy:
                yield copy

    def _order(self, filename: str, format: DatasetFormat | None, rows: RowRange | None = None) -> Order:  # noqa: A002
        bounds = self._bounds
        return Order(
            filename=filename,
            format=format,
            rows=rows,
            limits=bounds.limits,
            memory_bytes=bounds.memory_bytes,
            seconds=bounds.seconds,
        )

    async def _fetch(
        self,
        path: str,
        parts: Iterable[tuple[int, int]],
        copy: IO[bytes],
        look: Callable[[bytes], object] = lambda chunk: None,
    ) -> None:
        """Copies those parts of the object, which are `(first byte, bytes)`, and shows each chunk to `look`."""

        def keep(chunk: bytes) -> None:
            look(chunk)
            copy.write(chunk)

        for start, length in parts:
            size = 0
            try:
                async with aclosing(self._objects.get_stream(S3Path.parse(path), start, length)) as chunks:
                    async for chunk in chunks:
                        size += len(chunk)
                        await asyncio.to_thread(keep, chunk)
            except Refused as refused:
                if refused.code is RefusalCode.NOT_FOUND:
                    raise _differs(path) from refused
                raise
            if size != length:
                raise _differs(path)
        await asyncio.to_thread(copy.flush)
        copy.seek(0)

    async def _ask(self, order: Order, dataset_id: str, copy: IO[bytes]) -> Verdict:
        try:
            async with asyncio.timeout(order.seconds):
                code, answer, complaint = await _run(order, copy, self._folder)
        except TimeoutError:
            code = -signal.SIGXCPU
        if code == -signal.SIGXCPU:
            raise invalid_dataset(f"The file takes more than {order.seconds} s to read")
        if code in _KILLED_BY_A_PARSER:
            _log.warning("inspection_killed", dataset_id=dataset_id, code=code)
            raise invalid_dataset(TOO_HUNGRY)
        if code != 0:
            raise RuntimeError(f"the inspection of {dataset_id} failed with {code}: {complaint[-2000:]}")
        verdict = Verdict.model_validate_json(answer)
        if verdict.refusal is not None:
            raise Refused(verdict.refusal.code, verdict.refusal.message, verdict.refusal.metadata)
        return verdict


def _nameless_file(folder: Path) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)


def _differs(path: str) -> Refused:
    return Refused(RefusalCode.STORAGE_FAILED, f"The object {path} is not what was uploaded")


async def _run(order: Order, copy: IO[bytes], folder: Path) -> tuple[int, bytes, str]:
    """Runs the process to its end: exit code, standard output and standard error. A cancelled call kills it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "registry.engine.inspection_process",
        order.model_dump_json(),
        stdin=copy,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Of the service's environment next to nothing: no passwords beside a parser of strangers' files.
        env={"PYTHONUTF8": "1", "POLARS_MAX_THREADS": "2", "RAYON_NUM_THREADS": "2", "TMPDIR": str(folder)}
        | MEMORY_KEPT
        | {k: os.environ[k] for k in _PASSED_ON if k in os.environ},
        # Ctrl-C in a terminal reaches the whole group, and ends the service in order; this process ends with its call.
        start_new_session=True,
    )
    try:
        answer, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, answer, complaint.decode(errors="replace")
