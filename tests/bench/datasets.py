"""`make bench-data`: a CSV of 1 GB from its sender to its analysis, beside the bare parts that it is made of.

The upload is measured through the gateway to the answer, analysis included, beside the `minio` client alone on the
same S3 server; the analysis, in its own process, beside polars that scans every column of the same file and keeps
nothing, and reads it into memory. Meanwhile the memory of each service is watched, with that of what it starts.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil

from common.objects import Objects, S3Path
from embedded.endpoints import SERVICES
from embedded.platform import FREE_PORTS, Platform
from embedded.secrets import Secrets
from embedded.servers import USERS
from registry.engine.inspector import MEMORY_KEPT

_ROWS_OF_TEXT = 20_000
_CHUNK = 1 << 20
_MIB = 1 << 20
_ANALYSIS = """
import sys, time
from common.datafiles.files import DataFile
from common.datafiles.limits import Limits
from registry.engine.inspecting import inspect_file
started = time.perf_counter()
with open(sys.argv[1], "rb") as file:
    inspect_file(DataFile(file, "bench.csv", Limits()), None)
print(time.perf_counter() - started)
"""
_SCAN = """
import sys, time
import polars as pl
started = time.perf_counter()
pl.scan_csv(sys.argv[1], infer_schema=False).select(pl.len(), pl.all().null_count().name.suffix("_")).collect(
    engine="streaming"
)
print(time.perf_counter() - started)
"""
_READ = """
import sys, time
import polars as pl
started = time.perf_counter()
pl.read_csv(sys.argv[1], infer_schema=False)
print(time.perf_counter() - started)
"""


def make_csv(path: Path, megabytes: int) -> None:
    """Questions with commas, answers of some hundred characters, a number and a label."""
    dice = random.Random(1)
    words = [dice.randbytes(dice.randint(1, 5)).hex() for _ in range(500)]
    texts = [" ".join(dice.choices(words, k=dice.randint(20, 100))) for _ in range(_ROWS_OF_TEXT)]
    size = number = 0
    with path.open("w") as file:
        file.write("id,question,answer,label\n")
        while size < megabytes * 1_000_000:
            question = texts[number * 7 % _ROWS_OF_TEXT][:80]
            answer = texts[(number * 13 + number // _ROWS_OF_TEXT) % _ROWS_OF_TEXT]
            size += file.write(f'{number},"{question}, what?",{answer},{"yes" if number % 2 else "no"}\n')
            number += 1


class Memory:
    """The most that each service has held, in MiB, the processes it started included."""

    def __init__(self, platform: Platform) -> None:
        self._processes = {name: psutil.Process(platform.pid(name)) for name in SERVICES}
        self.most = dict.fromkeys(SERVICES, 0.0)

    @contextmanager
    def watched(self) -> Iterator[None]:
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended,))
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(0.1):
            for name, process in self._processes.items():
                self.most[name] = max(self.most[name], _resident(process))


def _resident(process: psutil.Process) -> float:
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / _MIB


async def upload(platform: Platform, path: Path) -> tuple[float, float]:
    """Seconds to the last byte that the gateway took, and to its answer."""
    taken = 0.0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        taken = time.perf_counter()

    form = aiohttp.FormData()
    # A name of its own: a file that is there already would not be read again.
    form.add_field("file", chunks(), filename=f"{uuid.uuid4().hex}.csv", content_type="text/csv")
    headers = {"Authorization": f"Bearer {platform.admin_key}"}
    started = time.perf_counter()
    async with (
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=900)) as session,
        session.post(f"{platform.url}/api/v1/datasets/upload", data=form) as response,
    ):
        assert response.status == 201, await response.text()
        answered = time.perf_counter()
        made = await response.json()
        async with session.delete(f"{platform.url}/api/v1/datasets/{made['dataset_id']}") as deleted:
            assert deleted.status == 200, await deleted.text()
    return taken - started, answered - started


def bare(objects: Objects, path: Path) -> float:
    """Seconds that the `minio` client takes for the same bytes."""
    place = S3Path("datasets", f"bench/{uuid.uuid4().hex}.csv")
    started = time.perf_counter()
    objects.put_file(place, path)
    seconds = time.perf_counter() - started
    objects.remove(place)
    return seconds


def process(program: str, path: Path) -> float:
    """Seconds that the program says it took, in a process of its own, set up as that which inspects uploads."""
    done = subprocess.run(
        [sys.executable, "-c", program, path], check=True, capture_output=True, text=True, env=os.environ | MEMORY_KEPT
    )
    return float(done.stdout)


async def measure(megabytes: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "bench.csv"
        make_csv(path, megabytes)
        with Platform(Path(directory) / "data", FREE_PORTS) as platform:
            secrets = Secrets.load(platform.data_dir, USERS)
            objects = Objects(
                f"http://127.0.0.1:{platform.ports()['s3']}", "gateway", secrets.password("s3", "gateway")
            )
            memory = Memory(platform)
            taken, answered, alone = [], [], []
            for _ in range(rounds):
                with memory.watched():
                    sent, done = await upload(platform, path)
                taken.append(sent)
                answered.append(done)
                alone.append(await asyncio.to_thread(bare, objects, path))
        analysis, scan, whole = [], [], []
        for _ in range(rounds):
            analysis.append(process(_ANALYSIS, path))
            scan.append(process(_SCAN, path))
            whole.append(process(_READ, path))
    peer, ours = statistics.median(alone), statistics.median(answered)
    print(f"{megabytes} MB of CSV, medians of {rounds} rounds")
    print(f"upload to the last byte     {megabytes / statistics.median(taken):8.1f} MB/s")
    print(f"upload to the answer        {megabytes / ours:8.1f} MB/s, {peer / ours:.2f} of the minio client alone")
    print(f"the minio client alone      {megabytes / peer:8.1f} MB/s")
    analysed, scanned, read = map(statistics.median, (analysis, scan, whole))
    shares = f"{scanned / analysed:.2f} of polars' scan, {read / analysed:.2f} of its read"
    print(f"analysis                    {megabytes / analysed:8.1f} MB/s, {shares}")
    print(f"polars' scan, nothing kept  {megabytes / scanned:8.1f} MB/s")
    print(f"polars' read into memory    {megabytes / read:8.1f} MB/s")
    for name, most in memory.most.items():
        print(f"most memory of {name:12} {most:8.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.megabytes, arguments.rounds))


if __name__ == "__main__":
    main()
