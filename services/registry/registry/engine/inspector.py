"""Fetches an uploaded object and has a process of its own read it through."""

import asyncio
import hashlib
import os
import signal
import sys
import tempfile
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from common.objects import ObjectStore, S3Path
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.registry import RegisterDataset
from registry.domain.inspections import Inspection
from registry.domain.limits import Limits
from registry.domain.refusals import invalid_dataset
from registry.engine.inspection_process import TOO_HUNGRY, Order, Verdict

_log = get_logger("inspector")
_PASSED_ON = ("PYTHONPATH", "LD_LIBRARY_PATH")
_KILLED_BY_A_PARSER = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGKILL}


@dataclass(frozen=True)
class Bounds:
    """What inspections may take: together `at_once` processes, each a file, memory and time."""

    at_once: int
    file_bytes: int
    memory_bytes: int
    seconds: int
    limits: Limits


class Inspector(Protocol):
    """Says what an uploaded object holds.

    Raises `Refused`: DATASET_INVALID for what is no data set, STORAGE_FAILED when the object cannot be had.
    """

    async def inspect(self, upload: RegisterDataset) -> Inspection: ...


class ProcessInspector:
    """An `Inspector` that reads at most `bounds.at_once` objects at a time; more wait in line.

    That bounds the disk as well: the copies have no name, so that even a crash leaves nothing behind.
    """

    def __init__(self, objects: ObjectStore, folder: Path, bounds: Bounds) -> None:
        self._objects = objects
        self._folder = folder
        self._bounds = bounds
        self._slots = asyncio.Semaphore(bounds.at_once)

    async def inspect(self, upload: RegisterDataset) -> Inspection:
        if upload.size_bytes > self._bounds.file_bytes:
            raise invalid_dataset(f"The file is larger than {self._bounds.file_bytes} bytes")
        async with self._slots:
            with await asyncio.to_thread(_nameless_file, self._folder) as copy:
                await self._fetch(upload, copy)
                return await self._read(upload, copy)

    async def _fetch(self, upload: RegisterDataset, copy: IO[bytes]) -> None:
        digest = hashlib.sha256()

        def keep(chunk: bytes) -> None:
            digest.update(chunk)
            copy.write(chunk)

        size = 0
        try:
            async with aclosing(self._objects.get_stream(S3Path.parse(upload.s3_path))) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > upload.size_bytes:
                        break
                    await asyncio.to_thread(keep, chunk)
        except Refused as refused:
            if refused.code is RefusalCode.NOT_FOUND:
                raise _differs(upload) from refused
            raise
        if size != upload.size_bytes or digest.hexdigest() != upload.sha256.lower():
            raise _differs(upload)
        await asyncio.to_thread(copy.flush)
        copy.seek(0)

    async def _read(self, upload: RegisterDataset, copy: IO[bytes]) -> Inspection:
        bounds = self._bounds
        order = Order(
            filename=upload.filename,
            format=upload.format,
            limits=bounds.limits,
            memory_bytes=bounds.memory_bytes,
            seconds=bounds.seconds,
        )
        try:
            async with asyncio.timeout(bounds.seconds):
                code, answer, complaint = await _run(order, copy)
        except TimeoutError:
            code = -signal.SIGXCPU
        if code == -signal.SIGXCPU:
            raise invalid_dataset(f"The file takes more than {bounds.seconds} s to read")
        if code in _KILLED_BY_A_PARSER:
            _log.warning("inspection_killed", dataset_id=upload.dataset_id, code=code)
            raise invalid_dataset(TOO_HUNGRY)
        if code != 0:
            raise RuntimeError(f"the inspection of {upload.dataset_id} failed with {code}: {complaint[-2000:]}")
        verdict = Verdict.model_validate_json(answer)
        if verdict.refusal is not None:
            raise Refused(verdict.refusal.code, verdict.refusal.message, verdict.refusal.metadata)
        if verdict.inspection is None:
            raise RuntimeError(f"the inspection of {upload.dataset_id} said nothing")
        return verdict.inspection


def _nameless_file(folder: Path) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)


def _differs(upload: RegisterDataset) -> Refused:
    return Refused(RefusalCode.STORAGE_FAILED, f"The object {upload.s3_path} is not what was uploaded")


async def _run(order: Order, copy: IO[bytes]) -> tuple[int, bytes, str]:
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
        env={"PYTHONUTF8": "1", "POLARS_MAX_THREADS": "2"} | {k: os.environ[k] for k in _PASSED_ON if k in os.environ},
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
