"""An upload through the gateway, analysis included, beside the `minio` client alone on the same S3 server."""

import asyncio
import io
import random
import time
import uuid

import aiohttp

from common.objects import Objects, S3Path
from embedded.platform import Platform
from embedded.secrets import Secrets
from embedded.servers import USERS
from tests.bench.measure import Comparison, side_by_side

ROWS = 300_000


def rows() -> bytes:
    words = [random.Random(0).randbytes(5).hex() for _ in range(500)]
    lines = (f"{i},{' '.join(words[(i * k) % 500] for k in range(1, 16))}" for i in range(ROWS))
    return ("id,text\n" + "\n".join(lines) + "\n").encode()


async def compare(platform: Platform) -> list[Comparison]:
    data = rows()
    megabytes = len(data) / 1e6
    secrets = Secrets.load(platform.data_dir, USERS)
    endpoint = f"http://127.0.0.1:{platform.ports()['s3']}"
    objects = Objects(endpoint, "gateway", secrets.password("s3", "gateway"))

    async def through_the_gateway() -> float:
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(data), filename="bench.csv", content_type="text/csv")
        started = time.perf_counter()
        headers = {"Authorization": f"Bearer {platform.admin_key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{platform.url}/api/v1/datasets/upload", data=form) as response,
        ):
            assert response.status < 300, await response.text()
        return megabytes / (time.perf_counter() - started)

    async def alone() -> float:
        path = S3Path("datasets", f"bench/{uuid.uuid4().hex}")
        started = time.perf_counter()
        await asyncio.to_thread(objects.put_reader, path, io.BytesIO(data))
        return megabytes / (time.perf_counter() - started)

    ours, peer = await side_by_side(through_the_gateway, alone)
    return [Comparison(f"upload of {megabytes:.0f} MB, analysed", "MB/s", ours, peer, "minio client, bytes only")]
